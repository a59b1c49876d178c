package cgroup

import (
	"errors"
	"fmt"
	"slices"
)

// Prefix begins the name of every run group: nothing without it is ours.
const Prefix = "plimsoll-"

// Host is the layout of cgroups as this process sees it. It is a snapshot,
// safe for concurrent use.
type Host struct {
	Hierarchies []Hierarchy                  // the unified one first, if any, then v1 as in /proc/self/cgroup
	Missing     map[Controller]*MissingError // controllers that no group can be given, and why
	root        string
	delegated   string // path of our own group where it was delegated to us
}

// Hierarchy is one mounted tree of cgroups.
type Hierarchy struct {
	Version     int          // 1 or 2
	Mount       string       // where it is mounted
	Controllers []Controller // v1: attached to it, none to systemd's own; v2: what Parent can hand on (on a hybrid host often nothing)
	Own         string       // directory of our own group, "" when it lies outside the mount
	Parent      string       // directory under which run groups are made
	Err         error        // why no group can be made there, nil when one can
}

// MissingError says why a controller cannot be used, and what to do about it.
type MissingError struct {
	Controller Controller
	Why, Hint  string
}

func (e *MissingError) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("cgroup controller %s: %s", e.Controller, e.Why)
	}
	return fmt.Sprintf("cgroup controller %s: %s (hint: %s)", e.Controller, e.Why, e.Hint)
}

// Lookup finds the hierarchy in which a controller can be used; the error is a
// *MissingError.
func (h *Host) Lookup(c Controller) (*Hierarchy, error) {
	if missing, ok := h.Missing[c]; ok {
		return nil, missing
	}
	for i := range h.Hierarchies {
		if at := &h.Hierarchies[i]; at.Err == nil && slices.Contains(at.Controllers, c) {
			return at, nil
		}
	}
	return nil, &MissingError{c, "no hierarchy that may be used here has it", ""}
}

// Marker is the hierarchy that holds every process of a run: the unified one, or on pure v1
// the best for killing and counting.
func (h *Host) Marker() (*Hierarchy, error) {
	if at := h.unified(); at != nil {
		return at, nil
	}
	for _, c := range []Controller{Freezer, PIDs, CPUAcct, CPU, Memory, IO} { // freezing first makes a kill final
		if at, err := h.Lookup(c); err == nil {
			return at, nil
		}
	}
	reason := errors.New("none is mounted (hint: mount -t cgroup2 cgroup2 /sys/fs/cgroup)")
	if len(h.Hierarchies) > 0 {
		reason = h.Hierarchies[0].Err
	}
	return nil, fmt.Errorf("find a cgroup hierarchy for the run: %w", reason)
}

func (h *Host) unified() *Hierarchy {
	if len(h.Hierarchies) > 0 && h.Hierarchies[0].Version == 2 && h.Hierarchies[0].Err == nil {
		return &h.Hierarchies[0]
	}
	return nil
}
