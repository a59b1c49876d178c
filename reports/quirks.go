package reports

import (
	"slices"
	"strings"
)

// Quirk is something that programs take for granted on a plain file system.
type Quirk struct {
	Name  string          `json:"name"`
	Holds map[string]bool `json:"holds"` // by storage: in every trial
}

const quirkPrefix = "quirk/"

func isQuirk(name string) bool { return strings.HasPrefix(name, quirkPrefix) }

// quirks collects what the samples of a workload say of quirks, in order of name.
func quirks(c cells) []Quirk {
	var all []Quirk
	for q, byKey := range c.series {
		if !isQuirk(q.name) {
			continue
		}
		found := Quirk{Name: q.name[len(quirkPrefix):], Holds: map[string]bool{}}
		for k, rounds := range byKey {
			holds, known := found.Holds[contender(k)]
			holds = holds || !known
			for _, values := range rounds {
				holds = holds && !slices.Contains(values, 0)
			}
			found.Holds[contender(k)] = holds
		}
		all = append(all, found)
	}
	slices.SortFunc(all, func(a, b Quirk) int { return strings.Compare(a.Name, b.Name) })
	return all
}
