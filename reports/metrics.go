package reports

import (
	"cmp"
	"slices"
	"strings"
)

// metric is what a report knows of a metric. One that is not listed is shown
// all the same, by its name and with general words.
type metric struct {
	name          string
	title         string // in headings
	does          string // "isolate ... 3% slower than a bare process"
	containerOnly bool   // a bare process has nothing of the kind, so there is no ratio
}

// metrics are in the order in which reports show them: of each workload, the
// first that was measured stands for it in the headline.
var metrics = []metric{
	{name: "start_to_exit", title: "Start to exit", does: "starts and exits"},
	{name: "start_to_ready", title: "Start to first instruction", does: "reaches its first instruction"},
	{name: "start_to_serial", title: "Start to serial console", does: "boots"},
	{name: "stop", title: "Stop", does: "stops"},
	{name: "exec", title: "Start another program inside", containerOnly: true},
	{name: "freeze", title: "Freeze", containerOnly: true},
	{name: "thaw", title: "Thaw", containerOnly: true},
	{name: "restart", title: "Restart", containerOnly: true},
	{name: "commit", title: "List what changed", containerOnly: true},
	{name: "launch_rate", title: "Launch rate", does: "launches"},
	{name: "memory_per_instance", title: "Memory per instance", does: "takes memory"},
	{name: "flops", title: "LINPACK", does: "solves LINPACK"},
	{name: "integer", title: "Integer loop", does: "computes integers"},
	{name: "syscall", title: "System calls", does: "makes system calls"},
	{name: "context_switch", title: "Context switches", does: "switches contexts"},
	{name: "triad", title: "STREAM triad", does: "runs STREAM triad"},
	{name: "copy", title: "STREAM copy", does: "runs STREAM copy"},
	{name: "scale", title: "STREAM scale", does: "runs STREAM scale"},
	{name: "add", title: "STREAM add", does: "runs STREAM add"},
	{name: "latency", title: "Memory latency", does: "chases pointers"},
	{name: "random_access", title: "Random memory access", does: "reaches memory at random"},
	{name: "page_fault", title: "Page faults", does: "takes page faults"},
	{name: "seq_read", title: "Sequential read", does: "reads in sequence"},
	{name: "seq_write", title: "Sequential write", does: "writes in sequence"},
	{name: "rand_read", title: "Random read", does: "reads at random"},
	{name: "rand_write", title: "Random write", does: "writes at random"},
	{name: "fsync", title: "fsync", does: "syncs files"},
	{name: "metadata", title: "File metadata", does: "creates and removes files"},
	{name: "round_trip", title: "Network round trip", does: "answers a round trip"},
	{name: "import", title: "Import an image", does: "imports an image"},
	{name: "provision", title: "Provision a root", does: "provisions a root", containerOnly: true},
	{name: "provision_rate", title: "Roots provisioned at once", does: "provisions roots at once"},
	{name: "small_change", title: "First change of a small file", does: "changes a small file"},
	{name: "small_change_again", title: "Second change of a small file", does: "changes a small file again"},
	{name: "large_change", title: "First change of a large file", does: "changes a large file"},
	{name: "large_change_again", title: "Second change of a large file", does: "changes a large file again"},
	{name: "write_amplification", title: "Bytes written for each byte changed", does: "writes"},
	{name: "write_per_change", title: "Written to the device for a change", does: "writes"},
	{name: "create", title: "Make small files", does: "makes files"},
	{name: "rename", title: "Rename files of the image", does: "renames files"},
	{name: "unlink", title: "Delete files of the image", does: "deletes files"},
	{name: "diff", title: "List what changed", does: "lists what changed"},
	{name: "page_cache_per_clone", title: "Page cache for each further clone", does: "takes page cache"},
	{name: "device_read_per_clone", title: "Read from the device for each further clone", does: "reads from the device"},
	{name: "mapped_page_cache_per_clone", title: "Page cache for each further clone that maps", does: "takes page cache for mappings"},
	{name: "mapped_device_read_per_clone", title: "Read from the device for each further clone that maps", does: "reads from the device for mappings"},
	{name: "disk_per_image", title: "Disk space of the image", does: "takes disk space"},
	{name: "disk_per_clone", title: "Disk space of a clone", does: "takes disk space"},
	{name: "delete", title: "Take a clone away", does: "takes a clone away"},
	{name: "remove", title: "Remove", containerOnly: true},
	{name: "cgroup_create", title: "Make control groups", containerOnly: true},
	{name: "network_create", title: "Make a network", containerOnly: true},
	{name: "cleanup_debt", title: "Cleanup debt", containerOnly: true},
}

const phasePrefix = "phase/"

func isPhase(name string) bool { return strings.HasPrefix(name, phasePrefix) }

func findMetric(name string) metric {
	if i := metricRank(name); i < len(metrics) {
		return metrics[i]
	}
	return metric{name: name, title: strings.ReplaceAll(name, "_", " "), containerOnly: isPhase(name)}
}

// metricRank is the position of a metric in the list, or its length.
func metricRank(name string) int {
	if i := slices.IndexFunc(metrics, func(m metric) bool { return m.name == name }); i >= 0 {
		return i
	}
	return len(metrics)
}

func byMetric(a, b string) int {
	return cmp.Or(cmp.Compare(metricRank(a), metricRank(b)), cmp.Compare(a, b))
}
