package kconfig

import (
	"fmt"
	"slices"
	"strings"
)

// Fragment is a piece of configuration that would satisfy what findings lack
// at the given levels ("required", ...): text for
// scripts/kconfig/merge_config.sh, which also resolves dependencies. It is ""
// where nothing is lacking.
func (c *Config) Fragment(findings []Finding, levels ...string) string {
	var b strings.Builder
	lines := map[string]bool{}
	write := func(line string) {
		if !lines[line] {
			lines[line] = true
			b.WriteString(line + "\n")
		}
	}
	group := ""
	for _, f := range findings {
		if f.State != Missing || !slices.Contains(levels, f.Option.Level) {
			continue
		}
		if f.Option.Group != group {
			group = f.Option.Group
			write("# " + group)
		}
		for _, dep := range c.dependencies(f.Option) {
			write("CONFIG_" + dep + "=y")
		}
		write(f.Option.wanted())
	}
	return b.String()
}

// dependencies are options without which setting o has no effect, where they
// are off and merge_config.sh would not select them.
func (c *Config) dependencies(o Option) []string {
	var deps []string
	need := func(name string) {
		if !c.On(name) {
			deps = append(deps, name)
		}
	}
	switch {
	case strings.HasPrefix(o.Name, "IP_NF_") || strings.HasPrefix(o.Name, "IP6_NF_"):
		if c.Version.AtLeast(6, 17) {
			need("NETFILTER_XTABLES_LEGACY")
		}
		need("NETFILTER_ADVANCED")
	case strings.HasPrefix(o.Name, "NETFILTER_XT_") || strings.HasPrefix(o.Name, "NFT_"):
		need("NETFILTER_ADVANCED")
	case o.Name == "CGROUP_BPF":
		need("BPF_SYSCALL")
	}
	return deps
}

func (o Option) wanted() string {
	switch o.Want {
	case "n":
		return fmt.Sprintf("# CONFIG_%s is not set", o.Name)
	case "on":
		if o.Module != "" {
			return fmt.Sprintf("CONFIG_%s=m", o.Name)
		}
		return fmt.Sprintf("CONFIG_%s=y", o.Name)
	case "y":
		return fmt.Sprintf("CONFIG_%s=y", o.Name)
	}
	value, _, _ := strings.Cut(o.Want, "|")
	return fmt.Sprintf("CONFIG_%s=%s", o.Name, value)
}
