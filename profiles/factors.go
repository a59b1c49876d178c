package profiles

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
)

// oneOf parses a level that must be one of names.
func oneOf(what string, names []string) func(string) (string, error) {
	return func(s string) (string, error) {
		if !slices.Contains(names, s) {
			return "", errors.New(unknown(what, s, names))
		}
		return s, nil
	}
}

// variantLabel keeps labels readable in a cell's name, and out of the way of
// the control's.
var variantLabel = regexp.MustCompile(`^[A-Za-z0-9._+-]*$`)

func parseVariant(s string) (string, error) {
	if !variantLabel.MatchString(s) {
		return "", fmt.Errorf("variant %q: must be letters, digits, ., _, + and -", s)
	}
	return s, nil
}

func parseRuntimeLevel(s string) (string, error) {
	_, err := ParseRuntime(s)
	return s, err
}

func anyText(s string) (string, error) { return s, nil }

var parseFleet = within(parseInt, 1, mostOfAnything, number)

func workloadNames() []string {
	out := make([]string, len(Catalogue))
	for i, w := range Catalogue {
		out[i] = w.Name
	}
	return out
}

func decodeFactors(s section, limits []string) Factors {
	limits = append([]string{"none"}, limits...)
	f := Factors{
		Workload: levels(s, "workload", oneOf("workload", workloadNames())),
		Runtime:  levels(s, "runtime", parseRuntimeLevel),
		Storage:  levels(s, "storage", oneOf("storage", Storages)),
		Dir:      levels(s, "dir", anyText),
		Limits:   levels(s, "limits", oneOf("limits", limits)),
		Network:  levels(s, "network", oneOf("network", Networks)),
		Fleet:    levels(s, "fleet", parseFleet),
		Cache:    levels(s, "cache", oneOf("cache", Caches)),
		Variant:  levels(s, "variant", parseVariant),
	}
	seen := map[string]bool{}
	for i, level := range f.Runtime {
		r, err := ParseRuntime(level)
		if err == nil && seen[r.Name] {
			s.fail(fmt.Sprintf("factors.runtime[%d]", i), "runtime %s stands twice", r.Name)
		}
		seen[r.Name] = true
	}
	return f
}

// runtimeNames are the names of the runtimes that a profile may speak of: its
// own and those built in.
func (f Factors) runtimeNames() []string {
	names := slices.Clone(Runtimes)
	for _, level := range f.Runtime {
		if r, err := ParseRuntime(level); err == nil && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// decodeExclusion takes any level there is, not only those of the factors:
// a flag that takes a runtime out must not make its exclusions faults.
func decodeExclusion(s section, p Profile) Exclusion {
	limits := []string{"none"}
	for name := range p.Limits {
		limits = append(limits, name)
	}
	slices.Sort(limits)
	x := Exclusion{
		Workload: some(s, "workload", oneOf("workload", workloadNames())),
		Runtime:  some(s, "runtime", oneOf("runtime", p.Factors.runtimeNames())),
		Storage:  some(s, "storage", oneOf("storage", Storages)),
		Dir:      some(s, "dir", anyText),
		Limits:   some(s, "limits", oneOf("limits", limits)),
		Network:  some(s, "network", oneOf("network", Networks)),
		Fleet:    some(s, "fleet", parseFleet),
		Cache:    some(s, "cache", oneOf("cache", Caches)),
		Variant:  some(s, "variant", parseVariant),
	}
	params, _ := s.get("params").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if x.Params == nil {
			x.Params = map[string][]string{}
		}
		x.Params[name] = levels(s.sub("params"), name, paramOf(name, x.Workload))
	}
	if reflect.ValueOf(x).IsZero() {
		s.fail(s.path, "names no level, and would exclude everything")
	}
	return x
}

// paramOf parses a value of the parameter of that name, of whichever of the
// workloads (all, where none are given) takes it.
func paramOf(name string, workloads []string) func(string) (string, error) {
	return func(s string) (string, error) {
		fault := errors.New("is no parameter of these workloads")
		for _, w := range Catalogue {
			for _, p := range w.Params {
				if p.Name != name || len(workloads) > 0 && !slices.Contains(workloads, w.Name) {
					continue
				}
				value, err := p.Canonical(s)
				if err == nil {
					return value, nil
				}
				fault = err
			}
		}
		return "", fault
	}
}

// some is levels for a dimension that may be left out.
func some[T comparable](s section, name string, parse func(string) (T, error)) []T {
	if s.get(name) == nil {
		return nil
	}
	return levels(s, name, parse)
}

// userLevels lists the levels of the factors, and of the parameters, whose
// value the user gave.
func userLevels(p Profile, where map[string]place) map[string][]string {
	f := p.Factors
	var fleet, runtimes []string
	for _, n := range f.Fleet {
		fleet = append(fleet, strconv.Itoa(n))
	}
	for _, level := range f.Runtime {
		r, _ := ParseRuntime(level)
		runtimes = append(runtimes, r.Name)
	}
	out := map[string][]string{}
	for name, levels := range map[string][]string{
		"workload": f.Workload, "runtime": runtimes, "storage": f.Storage, "dir": f.Dir, "limits": f.Limits,
		"network": f.Network, "fleet": fleet, "cache": f.Cache, "variant": f.Variant,
	} {
		if where["factors."+name].user {
			out[name] = levels
		}
	}
	for workload, w := range p.Workloads {
		for param, values := range w.Params {
			if path := "workloads." + workload + ".params." + param; where[path].user {
				out[path] = values
			}
		}
	}
	return out
}
