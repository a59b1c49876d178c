// Package profiles says what to measure. A Profile is pure data: the factors
// whose combinations are the cells, the rounds, and what the names of limits
// and workload parameters stand for.
package profiles

import "time"

// Profile is one experiment, resolved: every default filled in. In JSON its
// durations are text ([Profile.MarshalJSON]), as they are in its YAML.
type Profile struct {
	Name        string              `json:"name"`
	Description string              `json:"description,omitempty"`
	Rounds      int                 `json:"rounds"` // repetitions of the whole design
	Seed        uint64              `json:"seed"`   // 0: chosen at the start of the run and logged
	Gap         time.Duration       `json:"-"`      // quiet time before every trial, equal for all
	Timeout     time.Duration       `json:"-"`      // longest a trial may take
	Budget      time.Duration       `json:"-"`      // a plan estimated to take longer is refused
	Factors     Factors             `json:"factors"`
	Exclude     []Exclusion         `json:"exclude,omitempty"` // combinations that are left out
	Limits      map[string]Limits   `json:"limits,omitempty"`
	Workloads   map[string]Workload `json:"workloads,omitempty"`
	Pools       Pools               `json:"pools"`

	// Named lists the levels that the user named, by factor ("fleet") or
	// parameter ("workloads.io.params.block"): a cell of theirs that cannot run
	// makes the run exit 3.
	Named map[string][]string `json:"named,omitempty"`
}

// Factors are the axes that are varied. Cells are all their combinations,
// less exclusions; a bare process has one storage, limits and network, so its
// combinations fall together into one cell.
type Factors struct {
	Workload []string `json:"workload" yaml:"workload"` // names in Catalogue
	Runtime  []string `json:"runtime" yaml:"runtime"`   // bare, isolate, runc, ... or NAME=oci:PATH
	Storage  []string `json:"storage" yaml:"storage"`   // host, bind, overlay, or one in Backends
	Dir      []string `json:"dir" yaml:"dir"`           // work directories; "" is the default one
	Limits   []string `json:"limits" yaml:"limits"`     // "none" or a name in Profile.Limits
	Network  []string `json:"network" yaml:"network"`   // none, host, bridge, nat
	Fleet    []int    `json:"fleet" yaml:"fleet"`       // instances started together
	Cache    []string `json:"cache" yaml:"cache"`       // warm, cold
	Variant  []string `json:"variant" yaml:"variant"`   // free labels
}

// Exclusion leaves out the combinations that match all its non-empty lists.
// Bare combinations fall together only afterwards: excluding small limits
// leaves the bare process that they are compared with.
type Exclusion struct {
	Workload []string            `json:"workload,omitempty" yaml:"workload,omitempty"`
	Runtime  []string            `json:"runtime,omitempty" yaml:"runtime,omitempty"` // NAME of NAME=oci:PATH
	Storage  []string            `json:"storage,omitempty" yaml:"storage,omitempty"`
	Dir      []string            `json:"dir,omitempty" yaml:"dir,omitempty"`
	Limits   []string            `json:"limits,omitempty" yaml:"limits,omitempty"`
	Network  []string            `json:"network,omitempty" yaml:"network,omitempty"`
	Fleet    []int               `json:"fleet,omitempty" yaml:"fleet,omitempty"`
	Cache    []string            `json:"cache,omitempty" yaml:"cache,omitempty"`
	Variant  []string            `json:"variant,omitempty" yaml:"variant,omitempty"`
	Params   map[string][]string `json:"params,omitempty" yaml:"params,omitempty"` // values by parameter
}

// Limits are resource limits of one container. The zero value of a field
// means no limit.
type Limits struct {
	CPU       float64   `json:"cpu,omitempty"`        // quota, in CPUs: 0.5 is half of one
	CPUPeriod int64     `json:"cpu_period,omitempty"` // microseconds, 1,000 to 1,000,000; 0 is 100,000
	CPUWeight int       `json:"cpu_weight,omitempty"` // 1 to 10,000 as in v2's cpu.weight; 100 is v1's 1,024 shares
	CPUSet    string    `json:"cpuset,omitempty"`     // list of CPUs, "0-1,3"
	Mems      string    `json:"mems,omitempty"`       // list of NUMA nodes
	Memory    int64     `json:"memory,omitempty"`     // bytes
	Swap      int64     `json:"swap,omitempty"`       // bytes besides memory, and only with it; NoSwap is none
	PIDs      int64     `json:"pids,omitempty"`
	IO        []IOLimit `json:"io,omitempty"`
	IOWeight  int       `json:"io_weight,omitempty"` // 1 to 10,000 as in v2's io.weight; 100 is the default
	Hugetlb   []Hugetlb `json:"hugetlb,omitempty"`
}

// Pools say how the storages are built that a run builds for itself, and what
// workloads on storage clone.
type Pools struct {
	// Image is "synthetic", shaped by the workloads' parameters, or the user's:
	// "dir:PATH", "tar:PATH", "oci:PATH", "docker-archive:PATH" or
	// "registry:REFERENCE".
	Image string `json:"image"`
	// Size is that of the sparse file below each pool, in bytes.
	Size int64 `json:"size"`
	// Device is a block device to build on instead of sparse files, one slice
	// of Size after another. "" is none. One that holds anything is refused,
	// unless Overwrite is set: then that is lost.
	Device    string `json:"device,omitempty"`
	Overwrite bool   `json:"overwrite,omitempty"`
	// Place puts storages that stand on files and directories (unions, copies,
	// reflinks, loop devices) into the work directory as it is, instead of a file
	// system of their own on a sparse file.
	Place bool `json:"place,omitempty"`
}

// UsersImage reports whether workloads on storage clone an image of the user's.
func (p Pools) UsersImage() bool { return p.Image != "" && p.Image != SyntheticImage }

// NoSwap is the limit of no swap at all, "none" in YAML.
const NoSwap = -1

// Hugetlb limits the memory in huge pages of one size.
type Hugetlb struct {
	Page  int64 `json:"page"`  // bytes
	Limit int64 `json:"limit"` // bytes, whole pages; 0 is none at all
}

// IOLimit throttles one block device. Rates of 0 are no limit.
type IOLimit struct {
	Device    string `json:"device"`               // path, MAJOR:MINOR, or "workdir": the device under the work directory
	ReadBPS   int64  `json:"read_bps,omitempty"`   // B/s
	WriteBPS  int64  `json:"write_bps,omitempty"`  // B/s
	ReadIOPS  int64  `json:"read_iops,omitempty"`  // op/s
	WriteIOPS int64  `json:"write_iops,omitempty"` // op/s
}

// Workload sets how one workload is run. Params maps a parameter to the
// values it takes, in the canonical form of its kind; several values are a
// dimension of the design of their own.
type Workload struct {
	Repeats int                 `json:"repeats" yaml:"repeats"` // trials of each of its cells in a round
	Params  map[string][]string `json:"params,omitempty" yaml:"params,omitempty"`
}
