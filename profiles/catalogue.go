package profiles

import (
	"strconv"
	"time"
)

// Kind is the type of a workload parameter's value.
type Kind string

const (
	Bytes    Kind = "bytes"    // canonical form "4KiB"
	Duration Kind = "duration" // canonical form of time.Duration: "200ms"
	Integer  Kind = "integer"
	Bool     Kind = "bool" // "true" or "false"
	Choice   Kind = "choice"
)

// Param is one parameter of a workload. A cell's Key.Params lists those whose
// value is not Default.
type Param struct {
	Name    string
	Kind    Kind
	Default string   // canonical form
	Min     int64    // least value: bytes, nanoseconds or a count
	Max     int64    // greatest value; 0 is no bound
	Choices []string // of a Choice
	Help    string   // one line, with units

	// Container is set where the parameter shapes the container and not the
	// work in it: only the runtime isolate varies it, every other runs the
	// default, and a cell's baseline is without it.
	Container bool

	// Image is set where the parameter shapes the synthetic image: with an image
	// of the user's it says nothing, and is not varied.
	Image bool
}

// WorkloadType describes a workload that the program has built in.
type WorkloadType struct {
	Name   string
	Help   string
	Params []Param

	// OnStorage is set where the harness itself works on a clone that the
	// storage provides. There is no container: only the storage varies, and
	// what it is compared with is [PlainCopy].
	OnStorage bool

	// Once is set where a trial answers yes or no, and another would answer the
	// same: the first round alone has it, and there is no control.
	Once bool
}

// imageParams say what image a workload on storage has its clones of, where the
// profile names none.
func imageParams(more ...Param) []Param {
	return append([]Param{
		{Name: "layers", Image: true, Kind: Integer, Default: "8", Min: 1, Max: 500, Help: "layers of the synthetic image"},
		{Name: "files", Image: true, Kind: Integer, Default: "500", Min: 1, Max: 10_000_000, Help: "files in it"},
		{Name: "size", Image: true, Kind: Bytes, Default: "16MiB", Min: 1 << 20, Max: 1 << 40, Help: "bytes in its files together"},
	}, more...)
}

// fileParam is the file that a workload on storage has its clones of.
var fileParam = Param{Name: "file", Kind: Bytes, Default: "64MiB", Min: 4096, Max: 1 << 40, Help: "size of the file"}

// Catalogue lists the workloads, in the order in which reports show them.
var Catalogue = []WorkloadType{
	{
		Name: "startup",
		Help: "time from the request to the first instruction (start_to_ready) and to the end (start_to_exit) of a program that does nothing",
		Params: []Param{
			{Name: "rung", Kind: Choice, Default: "full", Choices: []string{"pid", "pid+mnt", "five", "six", "root", "full", "hardened"}, Container: true,
				Help: "how much of a container isolate builds: namespaces one after another, then root, proc and pivot_root, then dev, sys and dropped privileges, then all that Docker adds: system-call filter, masked and read-only paths, devices"},
			{Name: "hold", Kind: Duration, Default: "0s", Max: 3600e9,
				Help: "how long the fleet stays up once every instance is ready, waiting to be stopped; 0s: each instance exits by itself, unless the fleet is larger than 1"},
		},
	},
	{
		Name: "lifecycle",
		Help: "what is done to a container that runs: start another program in it up to its first instruction (exec), freeze, thaw, restart up to the first instruction, stop, and list what changed in its overlay (commit)",
		Params: []Param{
			{Name: "changes", Kind: Integer, Default: "100", Min: 1, Max: 1_000_000, Help: "files that a commit finds changed"},
		},
	},
	{
		Name: "cpu",
		Help: "LINPACK solve (flops), integer loop (integer), system-call loop (syscall) and context switches (context_switch)",
		Params: []Param{
			{Name: "part", Kind: Choice, Default: "all", Choices: []string{"all", "linpack", "integer", "syscall", "switch"}, Help: "which measurement to make"},
			{Name: "n", Kind: Integer, Default: "500", Min: 10, Max: 20000, Help: "order of LINPACK's matrix"},
			{Name: "duration", Kind: Duration, Default: "100ms", Min: 1e6, Max: 3600e9, Help: "least time each measurement runs"},
			{Name: "threads", Kind: Integer, Default: "0", Max: 1024, Help: "threads; 0 is one for each CPU that the process may use"},
		},
	},
	{
		Name: "memory",
		Help: "STREAM (copy, scale, add, triad), pointer chase (latency), random access (random_access) and page faults (page_fault)",
		Params: []Param{
			{Name: "part", Kind: Choice, Default: "all", Choices: []string{"all", "stream", "latency", "random", "fault"}, Help: "which measurement to make"},
			{Name: "size", Kind: Bytes, Default: "128MiB", Min: 1 << 20, Max: 1 << 40, Help: "each of STREAM's three arrays, and the region that the others walk; at least four times the last-level cache"},
			{Name: "duration", Kind: Duration, Default: "100ms", Min: 1e6, Max: 3600e9, Help: "least time each measurement runs"},
			{Name: "threads", Kind: Integer, Default: "0", Max: 1024, Help: "STREAM's threads; 0 is one for each CPU that the process may use"},
		},
	},
	{
		Name: "io",
		Help: "sequential and random read and write of one file (seq_read, seq_write, rand_read, rand_write), fsync and metadata operations (fsync, metadata)",
		Params: []Param{
			{Name: "part", Kind: Choice, Default: "all", Choices: []string{"all", "seq_read", "seq_write", "rand_read", "rand_write", "fsync", "metadata"}, Help: "which measurement to make"},
			{Name: "block", Kind: Bytes, Default: "4KiB", Min: 512, Max: 1 << 30, Help: "size of one read or write"},
			{Name: "direct", Kind: Bool, Default: "false", Help: "open the file with O_DIRECT"},
			{Name: "size", Kind: Bytes, Default: "64MiB", Min: 4096, Max: 1 << 44, Help: "size of the file"},
			{Name: "duration", Kind: Duration, Default: "100ms", Min: 1e6, Max: 3600e9, Help: "least time each measurement runs"},
		},
	},
	{
		Name: "import", OnStorage: true,
		Help:   "take an image over into a pool of its own (import), and what that occupies (disk_per_image)",
		Params: imageParams(),
	},
	{
		Name: "provision", OnStorage: true,
		Help: "clone an image and mount the clone (provision), what that occupies (disk_per_clone), and take it away (delete)",
		Params: imageParams(
			Param{Name: "clones", Kind: Integer, Default: "1", Min: 1, Max: 1024, Help: "clones asked for at the same moment"}),
	},
	{
		Name: "small_change", OnStorage: true,
		Help: "change one byte of a small file of the image: the first time (small_change), again (small_change_again), and how many bytes are written for one (write_amplification)",
		Params: imageParams(
			Param{Name: "changes", Kind: Integer, Default: "50", Min: 1, Max: 1_000_000, Help: "files that are changed, one byte in each"}),
	},
	{
		Name: "large_change", OnStorage: true,
		Help:   "change one byte of a large file of the image: the first time (large_change), again (large_change_again), how many bytes are written for it (write_amplification), and change its mode alone (chmod)",
		Params: []Param{fileParam},
	},
	{
		Name: "churn", OnStorage: true,
		Help: "make small files (create), rename files of the image (rename), delete others (unlink), and rename a directory as mv does (rename_directory)",
		Params: imageParams(
			Param{Name: "changes", Kind: Integer, Default: "200", Min: 1, Max: 1_000_000, Help: "files for each of these; the image must have twice as many that are small"}),
	},
	{
		Name: "diff", OnStorage: true,
		Help: "list what a clone has otherwise than its image (diff)",
		Params: imageParams(
			Param{Name: "changes", Kind: Integer, Default: "50", Min: 0, Max: 1_000_000, Help: "files that differ"}),
	},
	{
		Name: "page_cache", OnStorage: true,
		Help: "read a file of the image in one clone after another: what each clone after the first adds to the page cache (page_cache_per_clone), and has read from the device (device_read_per_clone), by read(2), and through a mapping (mapped_page_cache_per_clone...)",
		Params: []Param{fileParam,
			{Name: "clones", Kind: Integer, Default: "3", Min: 2, Max: 1024, Help: "clones that read it, one after another"}},
	},
	{
		Name: "quirks", OnStorage: true, Once: true,
		Help: "what a program in a clone would take for granted on a plain file system, and whether it holds: quirk/NAME is 1 if so, 0 if not",
		Params: []Param{
			{Name: "fill", Kind: Bool, Default: "true", Help: "also fill the storage up, with bytes and with files, and see what becomes of other clones"}},
	},
}

// FindWorkload returns the workload of that name.
func FindWorkload(name string) (WorkloadType, bool) {
	for _, w := range Catalogue {
		if w.Name == name {
			return w, true
		}
	}
	return WorkloadType{}, false
}

// Canonical gives a value of the parameter in the canonical form of its kind,
// and refuses one that is malformed or out of bounds.
func (p Param) Canonical(value string) (string, error) {
	switch p.Kind {
	case Bytes:
		n, err := within(ParseBytes, p.Min, p.Max, FormatBytes)(value)
		return FormatBytes(n), err
	case Duration:
		d, err := within(parseDuration, time.Duration(p.Min), time.Duration(p.Max), time.Duration.String)(value)
		return d.String(), err
	case Integer:
		n, err := within(parseCount, p.Min, p.Max, number)(value)
		return strconv.FormatInt(n, 10), err
	case Bool:
		return oneOf("value", []string{"true", "false"})(value)
	default:
		return oneOf("value", p.Choices)(value)
	}
}
