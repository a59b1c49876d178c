package hostcheck

import (
	"fmt"
	"slices"
	"strings"
)

// Use is what a host is to be used for.
type Use string

// Uses in the order in which they are shown.
var Uses = []Use{"docker", "containerd", "kubernetes", "podman", "podman-rootless", "lxc", "bench"}

// All stands for every one of [Uses].
const All Use = "all"

// ParseUse finds a use by its name.
func ParseUse(s string) (Use, error) {
	if Use(s) == All {
		return All, nil
	}
	for _, u := range Uses {
		if string(u) == s {
			return u, nil
		}
	}
	var names []string
	for _, u := range append(Uses[:len(Uses):len(Uses)], All) {
		names = append(names, string(u))
	}
	return "", fmt.Errorf("--for %s: no such use; choose one of %s", s, strings.Join(names, ", "))
}

// Severity is how much a use needs something.
type Severity string

const (
	Required    Severity = "required"
	Recommended Severity = "recommended"
	Optional    Severity = "optional"
	NotNeeded   Severity = ""
)

func (s Severity) rank() int {
	switch s {
	case Required:
		return 3
	case Recommended:
		return 2
	case Optional:
		return 1
	}
	return 0
}

// needs says how much each of [Uses] needs a check, and at the end how much
// the one that needs it most does, which is what counts for [All].
type needs [numUses + 1]Severity

const numUses = 7

// of is the severity for one use.
func (n needs) of(u Use) Severity {
	if i := slices.Index(Uses, u); i >= 0 {
		return n[i]
	}
	return n[numUses]
}

// need reads one letter for each of [Uses]: R required, r recommended,
// o optional, - not needed.
func need(letters string) needs {
	var n needs
	for i := range numUses {
		switch letters[i] {
		case 'R':
			n.set(i, Required)
		case 'r':
			n.set(i, Recommended)
		case 'o':
			n.set(i, Optional)
		}
	}
	return n
}

func (n *needs) set(i int, s Severity) {
	n[i] = s
	if s.rank() > n[numUses].rank() {
		n[numUses] = s
	}
}

// upTo limits a severity for each use.
func (n needs) upTo(s Severity) needs {
	var out needs
	for i := range numUses {
		if s.rank() < n[i].rank() {
			out.set(i, s)
		} else {
			out.set(i, n[i])
		}
	}
	return out
}
