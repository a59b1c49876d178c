package runner

import (
	"cmp"
	"fmt"
	"slices"

	"plimsoll/profiles"
)

// mostCells is more than any design that can be run and read; beyond it the
// profile multiplies factors that were meant to be apart.
const mostCells = 100_000

// combinations lists the cells of one host in the order of the profile's
// factors, each once, less the exclusions.
func combinations(p profiles.Profile, h Host) ([]Key, error) {
	all := []Key{{Host: h.Name}}
	all = cross(all, p.Factors.Workload, func(k *Key, l string) { k.Workload = l })
	for _, w := range profiles.Catalogue {
		for _, param := range w.Params {
			values := p.Workloads[w.Name].Params[param.Name]
			if param.Image && p.Pools.UsersImage() {
				values = nil
			}
			all = crossParam(all, w.Name, param, values)
		}
	}
	all = cross(all, p.Factors.Runtime, func(k *Key, l string) { k.Runtime = runtimeName(l) })
	all = cross(all, p.Factors.Storage, func(k *Key, l string) { k.Storage = l })
	all = cross(all, p.Factors.Dir, func(k *Key, l string) { k.Dir = l })
	all = cross(all, p.Factors.Limits, func(k *Key, l string) { k.Limits = l })
	all = cross(all, p.Factors.Network, func(k *Key, l string) { k.Network = l })
	all = cross(all, p.Factors.Fleet, func(k *Key, l int) { k.Fleet = l })
	all = cross(all, p.Factors.Cache, func(k *Key, l string) { k.Cache = l })
	all = cross(all, p.Factors.Variant, func(k *Key, l string) { k.Variant = l })
	if len(all) > mostCells {
		return nil, fmt.Errorf("profile %s combines to more than %d cells: vary fewer factors at once, or exclude combinations", p.Name, mostCells)
	}
	all = slices.DeleteFunc(all, func(k Key) bool {
		return slices.ContainsFunc(p.Exclude, func(x profiles.Exclusion) bool { return matches(x, k) })
	})
	seen := map[Key]bool{}
	var cells []Key
	for _, k := range all {
		k.Dir = h.dir(k.Dir)
		k = effective(k)
		if !seen[k] {
			seen[k] = true
			cells = append(cells, k)
		}
	}
	return cells, nil
}

// cross gives each key once for every level. It stops soon after mostCells.
func cross[T any](in []Key, levels []T, set func(*Key, T)) []Key {
	var out []Key
	for _, k := range in {
		for _, l := range levels {
			set(&k, l)
			out = append(out, k)
		}
		if len(out) > mostCells {
			break
		}
	}
	return out
}

// crossParam is cross for a parameter, of the keys of its workload alone.
func crossParam(in []Key, workload string, p profiles.Param, values []string) []Key {
	if len(values) == 0 {
		values = []string{p.Default}
	}
	var out []Key
	for _, k := range in {
		if k.Workload != workload || len(out) > mostCells {
			out = append(out, k)
			continue
		}
		out = append(out, cross([]Key{k}, values, func(k *Key, v string) {
			k.Params = dropParam(k.Params, p.Name)
			if v != p.Default {
				k.Params = addParam(k.Params, p.Name, v)
			}
		})...)
	}
	return out
}

// bareRungs are the rungs of isolate that leave the host's root in place, and
// whether they leave its network too.
var bareRungs = map[string]struct{ network bool }{
	"pid": {true}, "pid+mnt": {true}, "five": {true}, "six": {false},
}

// effective gives the cell that a combination really is: a bare process has
// the host's root and network and no limits; a rung without a root has the
// host's; what shapes a container is isolate's alone. A workload on storage is
// one whatever the runtime, and a storage that makes no clones is no level of
// it.
func effective(k Key) Key {
	k = k.WithDefaults()
	if k.OnStorage() {
		k.Runtime, k.Limits, k.Network, k.Fleet = "bare", "none", "host", 1
		if k.Storage == "host" || k.Storage == "bind" {
			k.Storage = profiles.PlainCopy
		}
		return k
	}
	switch k.Runtime {
	case "bare":
		k.Storage, k.Limits, k.Network = "host", "none", "host"
		fallthrough
	default:
		k.Params = k.workParams()
	case "isolate":
		rung, ok := bareRungs[k.Param("rung")]
		if ok {
			k.Storage = "host"
		}
		if ok && rung.network {
			k.Network = "host"
		}
	}
	return k
}

// matches reports whether all the levels that x names are k's.
func matches(x profiles.Exclusion, k Key) bool {
	for name, values := range x.Params {
		if !slices.Contains(values, k.Param(name)) {
			return false
		}
	}
	k = k.WithDefaults()
	return in(x.Workload, k.Workload) && in(x.Runtime, k.Runtime) && in(x.Storage, k.Storage) && in(x.Dir, k.Dir) &&
		in(x.Limits, k.Limits) && in(x.Network, k.Network) && in(x.Fleet, k.Fleet) && in(x.Cache, k.Cache) && in(x.Variant, k.Variant)
}

func in[T comparable](levels []T, level T) bool {
	return len(levels) == 0 || slices.Contains(levels, level)
}

// runtimeName is the name by which cells call a level of the factor runtime.
func runtimeName(level string) string {
	r, err := profiles.ParseRuntime(level)
	if err != nil {
		return level // a runtime that this version does not know: the host will lack it
	}
	return r.Name
}

// dir names the level of a work directory.
func (h Host) dir(path string) string { return cmp.Or(h.Dirs[path], path) }
