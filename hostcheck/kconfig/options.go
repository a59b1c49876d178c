package kconfig

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Option is what is known of one kernel option, and what is wanted of it.
type Option struct {
	Name    string // without CONFIG_
	Group   string // "namespaces", "v1-only", "network:bridge", ...
	Level   string // "required", "recommended" or "optional", where its group is needed
	Since   Version
	Until   Version  // first release without it
	Never   bool     // no mainline release has it
	Renamed string   // what stands for it from Until on; "*": nothing is needed
	Want    string   // "on", "y", "n", "info", or accepted values separated by "|"
	Instead string   // options that satisfy the same need: "A|B", "A+B"
	Arch    string   // "" where every architecture may have it
	Module  string   // name of the module that =m makes; "" if it matters to no check
	Lists   []string // whose lists name it
	Why     string
}

//go:embed options.tsv
var optionsTSV string

// Options are all options known, by group. The slice is the caller's.
func Options() ([]Option, error) {
	all, err := parsed()
	return slices.Clone(all), err
}

var parsed = sync.OnceValues(func() ([]Option, error) { return parseOptions(optionsTSV) })

// Lookup finds an option by name, with or without CONFIG_.
func Lookup(options []Option, name string) (Option, bool) {
	name = strings.TrimPrefix(name, "CONFIG_")
	i := slices.IndexFunc(options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return Option{}, false
	}
	return options[i], true
}

func parseOptions(text string) ([]Option, error) {
	options := make([]Option, 0, 640)
	number := 0
	for line := range strings.Lines(text) {
		number++
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 12 {
			return nil, fmt.Errorf("options.tsv: line %d: %d columns where there should be 12", number, len(f))
		}
		for i := range f {
			if f[i] == "-" {
				f[i] = ""
			}
		}
		o := Option{Name: f[0], Group: f[1], Level: f[2], Renamed: f[5], Want: f[6], Instead: f[7],
			Arch: f[8], Module: f[9], Lists: strings.Fields(f[10]), Why: f[11]}
		o.Never = f[3] == "never"
		for _, bound := range []struct {
			text string
			to   *Version
		}{{f[3], &o.Since}, {f[4], &o.Until}} {
			if bound.text == "" || bound.text == "never" {
				continue
			}
			v, err := ParseVersion(bound.text)
			if err != nil {
				return nil, fmt.Errorf("options.tsv: line %d: %w", number, err)
			}
			*bound.to = v
		}
		options = append(options, o)
	}
	return options, nil
}
