package hostcheck

import (
	"slices"
	"strings"

	"plimsoll/hostcheck/kconfig"
)

// groupNeeds bounds how much a use needs the kernel options of a group: an
// option that is required where bridges are used is not required of a host
// that has none.
var groupNeeds = []struct {
	prefix string
	needs  needs
}{
	{"namespaces", need("RRRRRRR")},
	{"cgroups", need("RRRRrRr")},
	{"v1-only", need("RRRRrRr")},
	{"v2-only", need("RRRRrRr")},
	{"security", need("RRRRRrr")},
	{"misc", need("RRRRRRR")},
	{"network:bridge", need("RrRRorr")},
	{"network:overlay", need("oooo---")},
	{"network:swarm", need("o-o----")},
	{"network:cilium", need("--o----")},
	{"network:bandwidth", need("ooooooo")},
	{"network:", need("ooooooo")},
	{"storage:overlay", need("RRRRroR")},
	{"storage:", need("rrrrrrr")},
	{"checkpoint", need("ooooooo")},
	{"limits", need("rrrrrrr")},
}

// optionNeeds gives exceptions, with their reasons.
var optionNeeds = map[string]needs{
	// The port of a bridge filters only where rules are meant to see bridged
	// frames: Kubernetes. Docker loads it on demand, for --icc=false.
	"BRIDGE_NETFILTER": need("rorooo-"),
	// Rootless networking is a tun device in the child's namespace.
	"TUN": need("oooRRoo"),
	// Everything rootless begins with one; others use it as an option.
	"USER_NS": need("ooorRro"),
	// ext4 is one file system among several: the data directory's own counts.
	"EXT4_FS": need("ooooooo"), "EXT4_FS_POSIX_ACL": need("ooooooo"), "EXT4_FS_SECURITY": need("ooooooo"),
	"FUSE_FS": need("ooooroo"),
	// The program needs a configuration to read, wherever that lies; a hardened
	// kernel compiles every BPF program, and an ordinary one may.
	"IKCONFIG": need("ooooooo"), "IKCONFIG_PROC": need("ooooooo"), "BPF_JIT_ALWAYS_ON": need("ooooooo"),
	// Shown to explain; a probe or a boot parameter decides.
	"PSI": need("ooroo-r"), "PSI_DEFAULT_DISABLED": need("ooooo-o"),
}

func needsOf(o kconfig.Option) needs {
	if n, ok := optionNeeds[o.Name]; ok {
		return n
	}
	for _, g := range groupNeeds {
		if strings.HasPrefix(o.Group, g.prefix) {
			return g.needs.upTo(Severity(o.Level))
		}
	}
	return needs{} // hardening: a matter of policy
}

// optionResults turns what a configuration says into results. Where deciders
// names a check that tried the thing itself, that check's answer counts and
// the option only explains. modules may be nil: then a module counts as there.
func optionResults(findings []kconfig.Finding, modules *kconfig.Modules, deciders map[string]string) []Result {
	var out []Result
	for _, f := range findings {
		r := Result{
			ID: "CONFIG_" + f.Option.Name, Group: "kernel options: " + f.Option.Group,
			Title: f.Option.Why, Needs: needsOf(f.Option), Decided: deciders[f.Option.Name],
			Evidence: []Evidence{{File: "CONFIG_" + f.Option.Name, Value: valueShown(f.Value)}},
		}
		r.Answer, r.Detail, r.Fix = optionAnswer(f, modules)
		if r.Decided != "" {
			r.Needs = needs{}
		}
		out = append(out, r)
	}
	return out
}

func valueShown(v string) string {
	if v == "" {
		return "not mentioned"
	}
	return v
}

func optionAnswer(f kconfig.Finding, modules *kconfig.Modules) (Answer, string, string) {
	switch f.State {
	case kconfig.Enabled:
		what := "enabled"
		switch f.Option.Want {
		case "on", "y":
		case "n":
			what = "off, as it should be"
			if f.Reason != "" { // on, and harmless
				what = "enabled"
			}
		default:
			what = "is " + f.Value
		}
		return Yes, detail(what, f.Reason), ""
	case kconfig.Instead:
		return Yes, detail("not needed", f.Reason), ""
	case kconfig.Inapplicable:
		return NotRelevant, f.Reason, ""
	case kconfig.Unknown:
		return CannotTell, f.Reason, ""
	case kconfig.Shown:
		return NotRelevant, detail("shown only", valueShown(f.Value)), ""
	case kconfig.Module:
		return moduleAnswer(f.Option, modules)
	}
	if f.Option.Want == "n" {
		return No, "is " + valueShown(f.Value) + ", should be off", "build the kernel with # CONFIG_" + f.Option.Name + " is not set"
	}
	return No, "missing", "build the kernel with CONFIG_" + f.Option.Name + "=" + map[bool]string{true: "m", false: "y"}[f.Option.Module != ""]
}

func detail(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// moduleAnswer says whether an option that is a module can be used.
func moduleAnswer(o kconfig.Option, modules *kconfig.Modules) (Answer, string, string) {
	if o.Module == "" || modules == nil {
		return Yes, "enabled (as module)", ""
	}
	switch availability, why := modules.Of(o.Module); availability {
	case kconfig.Loaded, kconfig.Builtin:
		return Yes, "enabled (as module, " + string(availability) + ")", ""
	case kconfig.Loadable:
		return Yes, "enabled (as module, available, not loaded)", ""
	case kconfig.Forbidden:
		return No, "is a module that may not be loaded: " + why, ""
	default:
		return No, "is a module whose file is not there: " + why,
			"install the package with the rest of this kernel's modules (on Ubuntu linux-modules-extra-$(uname -r)), then: modprobe " + o.Module
	}
}

// explanation names the options that are off and that a check needs, with the
// module's state where that is the cause.
func explanation(check Check, config *kconfig.Config) string {
	if config == nil {
		return ""
	}
	var off []string
	for _, name := range check.Options {
		if !config.On(name) {
			off = append(off, "CONFIG_"+name)
		}
	}
	switch len(off) {
	case 0:
		return ""
	case 1:
		return off[0] + " is not set"
	}
	slices.Sort(off)
	return strings.Join(off, ", ") + " are not set"
}

// OptionNeeds says how much a use needs a kernel option.
func OptionNeeds(o kconfig.Option, u Use) Severity { return needsOf(o).of(u) }

// Decider is the id of the check that tries what an option gives, "" if none
// does.
func Decider(option string) string {
	for _, c := range Checks() {
		if slices.Contains(c.Options, option) {
			return c.ID
		}
	}
	return ""
}
