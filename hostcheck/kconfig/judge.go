package kconfig

import (
	"fmt"
	"strings"
)

// State is what a configuration says of an option.
type State string

const (
	Enabled      State = "enabled"      // as wanted: built in, or off where off is wanted
	Module       State = "module"       // as wanted, and built as a module
	Missing      State = "missing"      // not as wanted
	Instead      State = "instead"      // not there, and another option does the same
	Inapplicable State = "inapplicable" // this release, architecture or hierarchy has no such option
	Unknown      State = "unknown"      // cannot be told
	Shown        State = "shown"        // nothing is wanted of it
)

// Finding is the state of one option in one configuration.
type Finding struct {
	Option Option
	State  State
	Value  string // y, m, n, a number, a string; "" where not mentioned
	Reason string // why the state is not simply the value's
}

// Good reports whether nothing needs to be done about it.
func (f Finding) Good() bool { return f.State != Missing && f.State != Unknown }

// Hierarchies says which cgroup hierarchies are used on the host that the
// kernel is for: options that only one of them needs are judged only there.
type Hierarchies struct{ V1, V2 bool }

// Usual is what a host with that release would use: the unified hierarchy
// since Linux 5.2, which brought its freezer (runc's docs/cgroup-v2.md asks
// for that release), v1's before.
func Usual(v Version) Hierarchies {
	if v.Known() && !v.AtLeast(5, 2) {
		return Hierarchies{V1: true}
	}
	return Hierarchies{V2: true}
}

// Judge says what the configuration has to say of each option, for its own
// release and architecture.
func (c *Config) Judge(options []Option, h Hierarchies) []Finding {
	routes := c.PacketFilters()
	findings := make([]Finding, len(options))
	for i, o := range options {
		findings[i] = c.judge(o, h, routes)
	}
	return findings
}

func (c *Config) judge(o Option, h Hierarchies, routes []Route) Finding {
	f := Finding{Option: o, Value: c.Values[o.Name]}
	switch {
	case o.Want == "info":
		f.State = Shown
		return f
	case o.Group == "v1-only" && !h.V1:
		f.State, f.Reason = Inapplicable, "only cgroup v1 needs it"
		return f
	case o.Group == "v2-only" && !h.V2:
		f.State, f.Reason = Inapplicable, "only cgroup v2 needs it"
		return f
	case o.Name == "RT_GROUP_SCHED" && f.Value == "y" && c.On("RT_GROUP_SCHED_DEFAULT_DISABLED"):
		f.State, f.Reason = Enabled, "off unless booted with rt_group_sched=1"
		return f
	}
	if o.satisfied(f.Value) {
		f.State = Enabled
		if f.Value == "m" {
			f.State = Module
		}
		return f
	}
	// A value that is set and wrong is wrong whatever the release: a
	// distribution may have carried the option back. Absence is judged below.
	if o.Want == "n" || (f.Value != "" && f.Value != "n") {
		f.State = Missing
		return f
	}
	if state, reason := c.excused(o, routes); state != "" {
		f.State, f.Reason = state, reason
		return f
	}
	f.State = Missing
	return f
}

func (o Option) satisfied(value string) bool {
	switch o.Want {
	case "on":
		return value == "y" || value == "m"
	case "y":
		return value == "y" || value == "m" // some are tristate on some releases
	case "n":
		return value == "" || value == "n"
	}
	for want := range strings.SplitSeq(o.Want, "|") {
		if value == want {
			return true
		}
	}
	return false
}

// excused says why an option that is off need not be on, if so.
func (c *Config) excused(o Option, routes []Route) (State, string) {
	switch {
	case o.Never:
		return Inapplicable, "no mainline kernel has it"
	case o.Arch != "" && c.Arch != "" && o.Arch != c.Arch:
		return Inapplicable, "only on " + o.Arch
	case o.Name == "CPUSETS" && c.Value("SMP") == "n":
		return Inapplicable, "a kernel for one processor (SMP is off) has no cpusets"
	}
	if o.Since.Known() || o.Until.Known() {
		if !c.Version.Known() {
			return Unknown, fmt.Sprintf("the kernel's release is unknown, and the option %s", o.lifetime())
		}
		if o.Since.Known() && c.Version.Before(o.Since) {
			return Inapplicable, fmt.Sprintf("since Linux %v; this is %v", o.Since, c.Version)
		}
		if o.Until.Known() && !c.Version.Before(o.Until) {
			return c.successor(o)
		}
	}
	if by := c.alternative(o.Instead); by != "" {
		return Instead, by + " does the same"
	}
	for _, r := range routes {
		if r.Complete() && usedByRoutes(o.Name) && !r.needs(o.Name) {
			return Instead, r.Name + " serves"
		}
	}
	return "", ""
}

func (o Option) lifetime() string {
	switch {
	case !o.Until.Known():
		return fmt.Sprintf("came with %v", o.Since)
	case !o.Since.Known():
		return fmt.Sprintf("went with %v", o.Until)
	}
	return fmt.Sprintf("came with %v and went with %v", o.Since, o.Until)
}

// successor judges an option that the release no longer has.
func (c *Config) successor(o Option) (State, string) {
	gone := fmt.Sprintf("gone since Linux %v", o.Until)
	switch {
	case o.Renamed == "*":
		return Inapplicable, gone + ": no option is needed for it"
	case o.Renamed == "":
		return Inapplicable, gone
	case c.On(o.Renamed):
		return Instead, fmt.Sprintf("%s, %s took its place", gone, o.Renamed)
	}
	// The successor is judged under its own name: no need is reported twice.
	return Inapplicable, fmt.Sprintf("%s: see %s", gone, o.Renamed)
}

// alternative names the first alternative of "A|B+C" that is on, "" if none.
func (c *Config) alternative(instead string) string {
	if instead == "" {
		return ""
	}
	for alt := range strings.SplitSeq(instead, "|") {
		on := true
		for name := range strings.SplitSeq(alt, "+") {
			on = on && c.On(name)
		}
		if on {
			return alt
		}
	}
	return ""
}
