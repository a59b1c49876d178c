package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"plimsoll/profiles"
	"plimsoll/runner"
)

// levels lists a cell's levels that are not the defaults, as "name=level",
// each parameter of the workload by itself. Workload, runtime and host are
// told apart by where a row stands; the A/A mark by its role.
func levels(k runner.Key) []string {
	k = k.WithDefaults()
	variant := strings.TrimSuffix(strings.TrimSuffix(k.Variant, runner.ControlVariant), ":")
	var all []string
	add := func(name, level, standard string) {
		if level != standard {
			all = append(all, name+"="+level)
		}
	}
	if !k.OnStorage() { // else it is what the row is called
		add("storage", k.Storage, "host")
	}
	add("dir", k.Dir, "")
	add("limits", k.Limits, "none")
	add("network", k.Network, "host")
	add("fleet", fmt.Sprint(k.Fleet), "1")
	add("neighbour", k.Neighbour, "none")
	add("cache", k.Cache, "warm")
	for param := range strings.SplitSeq(k.Params, ",") {
		if param != "" {
			all = append(all, param)
		}
	}
	add("variant", variant, "")
	return all
}

// contender is what a row is about: a runtime, or the storage where that is
// what varies.
func contender(k runner.Key) string {
	if k.OnStorage() {
		return k.Storage
	}
	return k.Runtime
}

// reference is what the rows of a workload are compared with.
func reference(k runner.Key) string {
	if k.OnStorage() {
		return "a plain copy"
	}
	return "a bare process"
}

// labels names the cells of a workload by contender and by what tells them
// apart. What all its containers share is said once, in common.
func labels(keys []runner.Key) (label map[runner.Key]string, common string) {
	var shared []string
	first := true
	for _, k := range keys {
		switch {
		case k.IsBaseline() || k.IsControl():
		case first:
			shared, first = levels(k), false
		default:
			mine := levels(k)
			shared = slices.DeleteFunc(shared, func(l string) bool { return !slices.Contains(mine, l) })
		}
	}
	label = map[runner.Key]string{}
	for _, k := range keys {
		parts := []string{contender(k)}
		for _, l := range levels(k) {
			if !slices.Contains(shared, l) {
				parts = append(parts, l)
			}
		}
		label[k] = strings.Join(parts, " ")
		if k.IsControl() {
			label[k] += " (A/A)"
		}
	}
	return label, strings.Join(shared, " ")
}

// byCell orders the cells of one workload: baseline by baseline, each first,
// then its control, then what is compared with it.
func byCell(a, b runner.Key) int {
	if c := byLevels(a.Baseline(), b.Baseline()); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(standing(a), standing(b)),
		cmp.Compare(rank(profiles.Runtimes, a.Runtime), rank(profiles.Runtimes, b.Runtime)),
		cmp.Compare(a.Runtime, b.Runtime),
		byLevels(a, b),
	)
}

func standing(k runner.Key) int {
	switch {
	case k.IsBaseline():
		return 0
	case k.IsControl():
		return 1
	}
	return 2
}

func byLevels(a, b runner.Key) int {
	return cmp.Or(
		cmp.Compare(a.Dir, b.Dir),
		cmp.Compare(a.Variant, b.Variant),
		cmp.Compare(a.Cache, b.Cache),
		cmp.Compare(a.Neighbour, b.Neighbour),
		cmp.Compare(a.Fleet, b.Fleet),
		byParams(a, b),
		cmp.Compare(rank(profiles.Storages, a.Storage), rank(profiles.Storages, b.Storage)),
		cmp.Compare(a.Storage, b.Storage),
		cmp.Compare(a.Network, b.Network),
		cmp.Compare(a.Limits, b.Limits),
	)
}

// byParams orders by the workload's parameters in the order of the catalogue,
// choices in theirs: a ladder of rungs is read from the bottom.
func byParams(a, b runner.Key) int {
	w, _ := profiles.FindWorkload(a.Workload)
	for _, p := range w.Params {
		x, y := a.Param(p.Name), b.Param(p.Name)
		if c := cmp.Or(cmp.Compare(rank(p.Choices, x), rank(p.Choices, y)), compareNumbers(p, x, y)); c != 0 {
			return c
		}
	}
	return cmp.Compare(a.Params, b.Params)
}

// compareNumbers orders canonical values of sizes as numbers, others as text.
func compareNumbers(p profiles.Param, a, b string) int {
	if p.Kind == profiles.Bytes || p.Kind == profiles.Integer {
		x, errX := profiles.ParseBytes(a)
		y, errY := profiles.ParseBytes(b)
		if errX == nil && errY == nil {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(a, b)
}

// rank is the position in a list; what is not in it comes after.
func rank(list []string, level string) int {
	if i := slices.Index(list, level); i >= 0 {
		return i
	}
	return len(list)
}

// byWorkload orders workloads as the catalogue does, others after by name.
func byWorkload(a, b string) int {
	position := func(name string) int {
		i := slices.IndexFunc(profiles.Catalogue, func(w profiles.WorkloadType) bool { return w.Name == name })
		if i < 0 {
			return len(profiles.Catalogue)
		}
		return i
	}
	return cmp.Or(cmp.Compare(position(a), position(b)), cmp.Compare(a, b))
}
