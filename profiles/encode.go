package profiles

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// times are a profile's durations as text.
type times struct {
	Gap     string `json:"gap"`
	Timeout string `json:"timeout"`
	Budget  string `json:"budget"`
}

// plain is Profile without its methods.
type plain Profile

// MarshalJSON writes durations as text, "20ms".
func (p Profile) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plain
		times
	}{plain(p), times{p.Gap.String(), p.Timeout.String(), p.Budget.String()}})
}

// UnmarshalJSON reads what MarshalJSON writes. It checks no more than types:
// what is in a journal was checked when it was written.
func (p *Profile) UnmarshalJSON(b []byte) error {
	var in struct {
		plain
		times
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*p = Profile(in.plain)
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"gap", in.times.Gap, &p.Gap}, {"timeout", in.times.Timeout, &p.Timeout}, {"budget", in.times.Budget, &p.Budget}} {
		var err error
		if *d.to, err = parseDuration(d.text); err != nil {
			return fmt.Errorf("profile's %s: %w", d.name, err)
		}
	}
	return nil
}

// YAML writes the profile as a file that [Parse] reads back as the same
// profile, but for Named: every level in a file of the user's own is named.
func (p Profile) YAML() ([]byte, error) {
	var n yaml.Node
	err := n.Encode(struct {
		Name        string
		Description string `yaml:",omitempty"`
		Rounds      int
		Seed        uint64
		Gap         string
		Timeout     string
		Budget      string
		Factors     Factors
		Exclude     []Exclusion         `yaml:",omitempty"`
		Limits      map[string]Limits   `yaml:",omitempty"`
		Workloads   map[string]Workload `yaml:",omitempty"`
		Pools       Pools
	}{
		p.Name, p.Description, p.Rounds, p.Seed, p.Gap.String(), p.Timeout.String(), p.Budget.String(),
		p.Factors, p.Exclude, p.Limits, p.Workloads, p.Pools,
	})
	if err != nil {
		return nil, fmt.Errorf("write profile %s: %w", p.Name, err)
	}
	compact(&n)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		return nil, fmt.Errorf("write profile %s: %w", p.Name, err)
	}
	return b.Bytes(), nil
}

// compact writes lists of scalars on one line, as people do.
func compact(n *yaml.Node) {
	scalars := true
	for _, c := range n.Content {
		compact(c)
		scalars = scalars && c.Kind == yaml.ScalarNode
	}
	if n.Kind == yaml.SequenceNode && scalars {
		n.Style = yaml.FlowStyle
	}
}

// MarshalYAML writes limits with their units.
func (l Limits) MarshalYAML() (any, error) {
	type io struct {
		Device    string
		ReadBPS   string `yaml:"read_bps,omitempty"`
		WriteBPS  string `yaml:"write_bps,omitempty"`
		ReadIOPS  int64  `yaml:"read_iops,omitempty"`
		WriteIOPS int64  `yaml:"write_iops,omitempty"`
	}
	type huge struct{ Page, Limit string }
	out := struct {
		CPU       float64 `yaml:",omitempty"`
		CPUPeriod string  `yaml:"cpu_period,omitempty"`
		CPUWeight int     `yaml:"cpu_weight,omitempty"`
		CPUSet    string  `yaml:",omitempty"`
		Mems      string  `yaml:",omitempty"`
		Memory    string  `yaml:",omitempty"`
		Swap      string  `yaml:",omitempty"`
		PIDs      int64   `yaml:"pids,omitempty"`
		IO        []io    `yaml:"io,omitempty"`
		IOWeight  int     `yaml:"io_weight,omitempty"`
		Hugetlb   []huge  `yaml:",omitempty"`
	}{
		CPU: l.CPU, CPUPeriod: orNone(l.CPUPeriod, formatPeriod), CPUWeight: l.CPUWeight,
		CPUSet: l.CPUSet, Mems: l.Mems, Memory: orNone(l.Memory, FormatBytes), Swap: orNone(l.Swap, formatSwap),
		PIDs: l.PIDs, IOWeight: l.IOWeight,
	}
	for _, h := range l.Hugetlb {
		out.Hugetlb = append(out.Hugetlb, huge{FormatBytes(h.Page), FormatBytes(h.Limit)})
	}
	for _, d := range l.IO {
		out.IO = append(out.IO, io{d.Device, orNone(d.ReadBPS, FormatRate), orNone(d.WriteBPS, FormatRate), d.ReadIOPS, d.WriteIOPS})
	}
	return out, nil
}

// MarshalYAML writes the size with its unit.
func (p Pools) MarshalYAML() (any, error) {
	return struct {
		Image, Size string
		Device      string `yaml:",omitempty"`
		Overwrite   bool   `yaml:",omitempty"`
		Place       bool   `yaml:",omitempty"`
	}{p.Image, FormatBytes(p.Size), p.Device, p.Overwrite, p.Place}, nil
}

// Settings lists what is limited, in canonical form, by the profile's keys:
// "memory" is "64MiB", "io.workdir.read_bps" is "10MiB/s".
func (l Limits) Settings() map[string]string {
	out := map[string]string{}
	set := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	if l.CPU != 0 {
		set("cpu", strconv.FormatFloat(l.CPU, 'g', -1, 64))
	}
	set("cpu_period", orNone(l.CPUPeriod, formatPeriod))
	set("cpu_weight", orNone(int64(l.CPUWeight), count))
	set("cpuset", l.CPUSet)
	set("mems", l.Mems)
	set("memory", orNone(l.Memory, FormatBytes))
	set("swap", orNone(l.Swap, formatSwap))
	set("pids", orNone(l.PIDs, count))
	set("io_weight", orNone(int64(l.IOWeight), count))
	for _, h := range l.Hugetlb {
		set("hugetlb."+FormatBytes(h.Page), FormatBytes(h.Limit))
	}
	for _, d := range l.IO {
		at := "io." + d.Device + "."
		set(at+"read_bps", orNone(d.ReadBPS, FormatRate))
		set(at+"write_bps", orNone(d.WriteBPS, FormatRate))
		set(at+"read_iops", orNone(d.ReadIOPS, count))
		set(at+"write_iops", orNone(d.WriteIOPS, count))
	}
	return out
}

// orNone is "" for 0, which is no limit.
func orNone(n int64, format func(int64) string) string {
	if n == 0 {
		return ""
	}
	return format(n)
}

func formatPeriod(us int64) string { return (time.Duration(us) * time.Microsecond).String() }
