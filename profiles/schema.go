package profiles

// shape is what may stand at one place of a profile. The whole profile is one
// tree of shapes, so that files, variables and flags are all read, and
// misspelt keys all found, by the same few functions.
type shape struct {
	kind shapeKind
	keys []key  // of a mapping, and of each mapping of a table
	each *shape // of named: the shape under every name
}

type shapeKind string

const (
	scalar  shapeKind = "a value"
	list    shapeKind = "a list"             // of scalars
	mapping shapeKind = "a mapping"          // of known keys
	named   shapeKind = "a mapping of names" // that the user chooses
	table   shapeKind = "a list of mappings"
)

type key struct {
	name string
	shape
}

func keys(kind shapeKind, names ...string) []key {
	out := make([]key, len(names))
	for i, name := range names {
		out[i] = key{name, shape{kind: kind}}
	}
	return out
}

// schema is the shape of a profile.
func schema() shape {
	limits := shape{kind: mapping, keys: append(
		keys(scalar, "cpu", "cpu_period", "cpu_weight", "cpuset", "mems", "memory", "swap", "pids", "io_weight"),
		key{"io", shape{kind: table, keys: keys(scalar, "device", "read_bps", "write_bps", "read_iops", "write_iops")}},
		key{"hugetlb", shape{kind: table, keys: keys(scalar, "page", "limit")}},
	)}
	workloads := shape{kind: mapping}
	all := shape{kind: mapping} // parameters of any workload
	for _, w := range Catalogue {
		params := shape{kind: mapping}
		for _, p := range w.Params {
			params.keys = append(params.keys, keys(list, p.Name)...)
			if _, ok := all.find(p.Name); !ok {
				all.keys = append(all.keys, keys(list, p.Name)...)
			}
		}
		workloads.keys = append(workloads.keys, key{w.Name, shape{
			kind: mapping, keys: append(keys(scalar, "repeats"), key{"params", params}),
		}})
	}
	return shape{kind: mapping, keys: append(
		keys(scalar, "name", "description", "rounds", "seed", "gap", "timeout", "budget"),
		key{"factors", shape{kind: mapping, keys: keys(list, factorNames...)}},
		key{"exclude", shape{kind: table, keys: append(keys(list, factorNames...), key{"params", all})}},
		key{"limits", shape{kind: named, each: &limits}},
		key{"workloads", workloads},
		key{"pools", shape{kind: mapping, keys: keys(scalar, "image", "size", "device", "overwrite", "place")}},
	)}
}

// factorNames are the keys under factors, in the order of a cell's name.
var factorNames = []string{"workload", "runtime", "storage", "dir", "limits", "network", "fleet", "cache", "variant"}

func (s shape) names() []string {
	out := make([]string, len(s.keys))
	for i, k := range s.keys {
		out[i] = k.name
	}
	return out
}

func (s shape) find(name string) (shape, bool) {
	for _, k := range s.keys {
		if k.name == name {
			return k.shape, true
		}
	}
	return shape{}, false
}

// leaves lists the paths that take a value of their own; names are those that
// stand for the user's choice of names (of limits).
func (s shape) leaves(path string, names []string) []string {
	var out []string
	switch s.kind {
	case mapping:
		for _, k := range s.keys {
			out = append(out, k.leaves(join(path, k.name), names)...)
		}
	case named:
		for _, name := range names {
			out = append(out, s.each.leaves(join(path, name), names)...)
		}
	default:
		out = append(out, path)
	}
	return out
}

// join makes paths as errors show them. Viper splits its keys at dots too,
// and lower-cases them; no key of a profile has a dot or a capital (read
// refuses them), so that a path is viper's key as it stands.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
