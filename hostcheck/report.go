package hostcheck

import (
	"slices"
	"strings"
	"time"

	"plimsoll/hostcheck/kconfig"
)

// Schema is the version of the report's JSON.
const Schema = 1

// Options say what to check, and how far to go.
type Options struct {
	Use  Use
	Dir  string // data directory; "" is the use's own
	Load bool   // allow probes that make the kernel load a module
	// Hardening adds the kernel options that hardening guides want. They are
	// shown and not judged: which of them to follow is a matter of policy, and
	// some (no user namespaces) forbid containers.
	Hardening bool
	// Config judges another kernel's configuration, and nothing of this host.
	Config *kconfig.Config
	// Hierarchies are those the other kernel's host will use; zero is usual for its release.
	Hierarchies kconfig.Hierarchies
}

// Report is everything a run found.
type Report struct {
	Schema       int               `json:"schema"`
	Use          Use               `json:"use"`
	Host         map[string]string `json:"host"`    // the facts of the first screen
	Offline      bool              `json:"offline"` // a configuration was judged, not a host
	Config       *ConfigInfo       `json:"config,omitempty"`
	Ready        Readiness         `json:"ready"`
	Matrix       []UseReadiness    `json:"matrix"` // one row for each use
	Results      []Result          `json:"results"`
	Capabilities []Capability      `json:"capabilities,omitempty"`
	Density      *Density          `json:"density,omitempty"`
	Limits       []Limit           `json:"limits,omitempty"`
	Fragment     string            `json:"fragment,omitempty"` // offline: configuration that would mend what is lacking
	Elapsed      time.Duration     `json:"elapsed_ns"`
}

// ConfigInfo says which kernel configuration was read.
type ConfigInfo struct {
	Source  string          `json:"source"`
	Version string          `json:"version"`
	Arch    string          `json:"arch"`
	Options int             `json:"options"`
	Whole   bool            `json:"whole"`
	Routes  []kconfig.Route `json:"packet_filters"`
}

// Readiness of a host for a use.
type Readiness string

const (
	Ready    Readiness = "ready"
	NotReady Readiness = "not ready"
	Unclear  Readiness = "unknown" // something required cannot be known from here
)

// UseReadiness is one row of the matrix.
type UseReadiness struct {
	Use    Use                  `json:"use"`
	Ready  Readiness            `json:"ready"`
	Groups map[string]Readiness `json:"groups"`
	Lacks  []string             `json:"lacks,omitempty"` // ids of what is required and fails
	Holds  int64                `json:"holds,omitempty"` // containers of its kind, at most
	Wall   string               `json:"wall,omitempty"`  // what stops more
}

// Capability answers one plain question about the host.
type Capability struct {
	Name   string `json:"name"` // "limit memory"
	Answer Answer `json:"answer"`
	By     string `json:"by"` // the check that answers, and what it found
}

// Strict is the readiness when warnings about what is recommended count too.
func (r *Report) Strict() Readiness { return readiness(r.Results, r.Use, Recommended) }

// readiness of a use: nothing at or above the severity may fail.
func readiness(results []Result, u Use, least Severity) Readiness {
	state := Ready
	for _, x := range results {
		if x.Needs.of(u).rank() < least.rank() {
			continue
		}
		switch v := x.For(u); {
		case v == Fail, v == Warn && least.rank() <= Recommended.rank():
			return NotReady
		case v == Unknown:
			state = Unclear
		}
	}
	return state
}

// conclude fills in verdicts, the matrix and the readiness.
func (r *Report) conclude() {
	for i := range r.Results {
		x := &r.Results[i]
		x.Severity, x.Verdict = x.Needs.of(r.Use), x.For(r.Use)
	}
	r.Ready = readiness(r.Results, r.Use, Required)
	for _, u := range Uses {
		row := UseReadiness{Use: u, Ready: readiness(r.Results, u, Required), Groups: map[string]Readiness{}}
		for _, x := range r.Results {
			s := x.Needs.of(u)
			if s.rank() < Recommended.rank() || x.Answer == NotRelevant {
				continue
			}
			g := area(x.Group)
			if row.Groups[g] == "" {
				row.Groups[g] = Ready
			}
			switch v := x.For(u); {
			case v == Fail:
				row.Groups[g] = NotReady
				row.Lacks = append(row.Lacks, x.ID)
			case v == Unknown && s == Required && row.Groups[g] == Ready:
				row.Groups[g] = Unclear
			}
		}
		r.Matrix = append(r.Matrix, row)
	}
}

// area is the column of the matrix that a group belongs to.
func area(group string) string {
	group, _, _ = strings.Cut(group, ":")
	return group
}

// Groups are the areas that have results, in order.
func (r *Report) Groups() []string {
	var groups []string
	for _, x := range r.Results {
		if g := area(x.Group); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}

// Judge judges a configuration alone: no host is asked. It runs anywhere.
func Judge(opt Options) (*Report, error) {
	start := time.Now()
	options, err := optionsFor(opt)
	if err != nil {
		return nil, err
	}
	c := opt.Config
	h := opt.Hierarchies
	if !h.V1 && !h.V2 {
		h = kconfig.Usual(c.Version)
	}
	findings := c.Judge(options, h)
	r := &Report{Schema: Schema, Use: opt.Use, Offline: true, Config: configInfo(c), Host: map[string]string{
		"kernel.release": c.Version.String(), "kernel.arch": c.Arch}}
	r.Results = optionResults(findings, nil, nil)
	r.conclude()
	// The fragment mends what this use needs, not what some other does.
	lacking := findings[:0:0]
	for i, f := range findings {
		if r.Results[i].Severity.rank() >= Recommended.rank() {
			lacking = append(lacking, f)
		}
	}
	r.Fragment = c.Fragment(lacking, "required", "recommended")
	r.Elapsed = time.Since(start)
	return r, nil
}

// optionsFor leaves out hardening, unless it is wanted.
func optionsFor(opt Options) ([]kconfig.Option, error) {
	options, err := kconfig.Options()
	if err != nil || opt.Hardening {
		return options, err
	}
	return slices.DeleteFunc(options, func(o kconfig.Option) bool { return o.Group == "hardening" }), nil
}

func configInfo(c *kconfig.Config) *ConfigInfo {
	if c == nil {
		return nil
	}
	return &ConfigInfo{c.Source, c.Version.String(), c.Arch, len(c.Values), c.Whole, c.PacketFilters()}
}
