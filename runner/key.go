package runner

import (
	"cmp"
	"strconv"
	"strings"

	"plimsoll/profiles"
)

// Key names a cell: one combination of factor levels. It is comparable, so
// that all grouping is a map of Key. An absent field in a journal means the
// default that [Key.WithDefaults] gives.
type Key struct {
	Workload  string `json:"workload"`
	Runtime   string `json:"runtime"`
	Storage   string `json:"storage,omitempty"`   // default "host": the host's own root
	Dir       string `json:"dir,omitempty"`       // file system under the work directory
	Limits    string `json:"limits,omitempty"`    // default "none"
	Network   string `json:"network,omitempty"`   // default "host"
	Fleet     int    `json:"fleet,omitempty"`     // instances started together; default 1
	Neighbour string `json:"neighbour,omitempty"` // default "none"
	Cache     string `json:"cache,omitempty"`     // default "warm"
	Params    string `json:"params,omitempty"`    // sorted k=v list of non-default workload parameters
	Variant   string `json:"variant,omitempty"`
	Host      string `json:"host,omitempty"`
}

// ControlVariant marks the A/A control: the baseline cell run a second time
// in every round (of a baseline with a variant of its own: "label:a/a"). The ratio of the two is 1 but for noise, so the width of
// its interval is the noise floor of the run.
const ControlVariant = "a/a"

// WithDefaults fills the fields that a journal may leave out.
func (k Key) WithDefaults() Key {
	k.Storage = cmp.Or(k.Storage, "host")
	k.Limits = cmp.Or(k.Limits, "none")
	k.Network = cmp.Or(k.Network, "host")
	k.Fleet = cmp.Or(k.Fleet, 1)
	k.Neighbour = cmp.Or(k.Neighbour, "none")
	k.Cache = cmp.Or(k.Cache, "warm")
	return k
}

// Baseline is the cell that k is compared with: the same workload,
// parameters, fleet, neighbour, cache, dir, variant and host as a bare
// process on the host's own root and network, without limits. Parameters that
// shape the container and not the work ([profiles.Param].Container) are not
// part of it. Of a workload on storage it is the one on plain copies.
func (k Key) Baseline() Key {
	k.Runtime, k.Storage, k.Limits, k.Network = "bare", "host", "none", "host"
	if k.OnStorage() {
		k.Storage = profiles.PlainCopy
	}
	k.Params = k.workParams()
	k.Variant = strings.TrimSuffix(strings.TrimSuffix(k.Variant, ControlVariant), ":")
	return k.WithDefaults()
}

// OnStorage reports whether the workload is one that the harness carries out
// on a clone of the storage.
func (k Key) OnStorage() bool {
	w, _ := profiles.FindWorkload(k.Workload)
	return w.OnStorage
}

// once reports whether a trial of the workload answers for all.
func (k Key) once() bool {
	w, _ := profiles.FindWorkload(k.Workload)
	return w.Once
}

// Control is the A/A control of the baseline k.
func (k Key) Control() Key {
	if k.Variant != "" {
		k.Variant += ":"
	}
	k.Variant += ControlVariant
	return k
}

// IsControl reports whether k is the A/A control of its baseline.
func (k Key) IsControl() bool { return k.WithDefaults() == k.Baseline().Control() }

// IsBaseline reports whether k is its own baseline.
func (k Key) IsBaseline() bool { return k.WithDefaults() == k.Baseline() }

// level is one factor of a cell, its level and the level that goes unsaid.
type level struct{ factor, name, unsaid string }

// levels lists the factors after workload and runtime, in the order of
// String. The key must have its defaults.
func (k Key) levels() []level {
	return []level{
		{"storage", k.Storage, "host"},
		{"dir", k.Dir, ""},
		{"limits", k.Limits, "none"},
		{"network", k.Network, "host"},
		{"fleet", strconv.Itoa(k.Fleet), "1"},
		{"neighbour", k.Neighbour, "none"},
		{"cache", k.Cache, "warm"},
		{"params", k.Params, ""},
		{"variant", k.Variant, ""},
		{"host", k.Host, ""},
	}
}

// String gives the levels that differ from the defaults, the form that
// --require takes: "workload/runtime" and then "name=level" in fixed order.
func (k Key) String() string {
	k = k.WithDefaults()
	var b strings.Builder
	b.WriteString(k.Workload + "/" + k.Runtime)
	for _, l := range k.levels() {
		if l.name != l.unsaid {
			b.WriteString(" " + l.factor + "=" + l.name)
		}
	}
	return b.String()
}
