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
	{name: "provision", title: "Provision a root", containerOnly: true},
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
