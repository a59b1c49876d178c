package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// offer is a file of groups that newer kernels have.
type offer struct {
	name, file, since string
	without           string // what is done instead
}

var (
	markerOffers = []offer{
		{"cgroup_kill", "cgroup.kill", "5.14, in the unified hierarchy", "a group's processes are frozen where there is a freezer, and killed one by one"},
		{"cgroup_freeze", "cgroup.freeze", "5.2, in the unified hierarchy", "containers are paused by v1's freezer, and not without it"},
		{"cgroup_psi", "cpu.pressure", "4.20, in the unified hierarchy", "how long containers wait for CPU, memory and I/O is not known"},
	}
	memoryOffers = map[int]offer{
		1: {"memory_peak", "memory.max_usage_in_bytes", "2.6.25", "the peak of a container's memory is not known"},
		2: {"memory_peak", "memory.peak", "5.19", "the peak of a container's memory is not known"},
	}
)

// Facts says of what newer kernels offer, by name, whether the run's groups have it: "yes", or "no"
// and what is done instead. It makes a group to look, and removes it.
func (r *Run) Facts() (map[string]string, error) {
	const name, unknown = "try-facts", "the peak of a container's memory is not known"
	facts := map[string]string{"memory_peak": "no (memory is not counted): " + unknown}
	g, err := r.Create(name, Limits{}, Memory)
	if err != nil { // memory cannot be handed down: limits will say so where they are asked for
		facts["memory_peak"] = fmt.Sprintf("no (%v): %s", err, unknown)
		g, err = r.Create(name, Limits{})
	}
	if err != nil {
		return nil, err
	}
	look := func(dir string, o offer) {
		_, err := readFile(dir+"/"+o.file, nil) // some, as cgroup.kill, can only be written: that is another error
		switch {
		case errors.Is(err, fs.ErrNotExist):
			facts[o.name] = fmt.Sprintf("no (Linux has it since %s): %s", o.since, o.without)
		case errors.Is(err, unix.EOPNOTSUPP):
			facts[o.name] = "no (switched off at boot: psi=1 switches it on): " + o.without
		default:
			facts[o.name] = "yes"
		}
	}
	for _, o := range markerOffers {
		look(g.places[0].dir, o)
	}
	if at, err := r.host.Lookup(Memory); err == nil {
		for _, p := range g.places {
			if p.at == at {
				look(p.dir, memoryOffers[at.Version])
			}
		}
	}
	return facts, g.Remove(context.Background())
}
