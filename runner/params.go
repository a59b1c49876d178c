package runner

import (
	"slices"
	"strings"

	"plimsoll/profiles"
)

// Param is the value of one of the workload's parameters, in canonical form:
// what the cell says, else the default. It is "" where the workload has no
// such parameter.
func (k Key) Param(name string) string {
	for pair := range strings.SplitSeq(k.Params, ",") {
		if n, value, ok := strings.Cut(pair, "="); ok && n == name {
			return value
		}
	}
	w, _ := profiles.FindWorkload(k.Workload)
	for _, p := range w.Params {
		if p.Name == name {
			return p.Default
		}
	}
	return ""
}

// workParams is Params without those that only shape the container.
func (k Key) workParams() string {
	w, _ := profiles.FindWorkload(k.Workload)
	params := k.Params
	for _, p := range w.Params {
		if p.Container {
			params = dropParam(params, p.Name)
		}
	}
	return params
}

// dropParam takes one parameter out of a k=v list.
func dropParam(params, name string) string {
	if params == "" {
		return ""
	}
	return strings.Join(slices.DeleteFunc(strings.Split(params, ","), func(pair string) bool {
		return strings.HasPrefix(pair, name+"=")
	}), ",")
}

// addParam puts a parameter into a k=v list, at its place in the order.
func addParam(params, name, value string) string {
	pairs := []string{name + "=" + value}
	if params != "" {
		pairs = append(pairs, strings.Split(params, ",")...)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
