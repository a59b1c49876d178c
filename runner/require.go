package runner

import (
	"fmt"
	"slices"
	"strings"

	"plimsoll/profiles"
)

// require marks the skips that the user requires to run.
func (p *Plan) require(cells []string) error {
	for _, text := range cells {
		found := slices.ContainsFunc(p.Cells, func(c Cell) bool { return c.Key.is(text) })
		for i := range p.Skips {
			if p.Skips[i].Key.is(text) {
				p.Skips[i].Named, found = true, true
			}
		}
		if !found {
			return p.noSuchCell(text)
		}
	}
	return nil
}

// noSuchCell names the cell that was most likely meant: the one whose first
// words, as many as there are in text, are nearest.
func (p *Plan) noSuchCell(text string) error {
	var keys []Key
	for _, c := range p.Cells {
		keys = append(keys, c.Key)
	}
	for _, s := range p.Skips {
		keys = append(keys, s.Key)
	}
	near := keys[0].String()
	words := len(strings.Fields(text))
	full, starts := map[string]string{}, []string{}
	for _, k := range keys {
		name := strings.Fields(k.String())
		start := strings.Join(name[:min(words, len(name))], " ")
		if full[start] == "" {
			full[start] = k.String()
			starts = append(starts, start)
		}
	}
	if n := profiles.Nearest(text, starts); n != "" {
		near = full[n]
	}
	return fmt.Errorf("--require %q: the plan has no such cell; the nearest is %q", text, near)
}

// is reports whether text, "workload/runtime name=level ...", describes k.
// A level that text leaves out may be any; a name may be a parameter's.
func (k Key) is(text string) bool {
	words := strings.Fields(text)
	if len(words) == 0 || words[0] != k.Workload+"/"+k.Runtime {
		return false
	}
	levels := k.WithDefaults().levels()
	for _, word := range words[1:] {
		name, want, _ := strings.Cut(word, "=")
		i := slices.IndexFunc(levels, func(l level) bool { return l.factor == name })
		switch {
		case i >= 0 && levels[i].name == want:
		case i < 0 && want != "" && k.Param(name) == want:
		default:
			return false
		}
	}
	return true
}
