package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Group is one container's group in every hierarchy it was made in. It is safe
// for concurrent use.
type Group struct {
	run  *Run
	name string

	mu     sync.Mutex
	places []place // the marker first; in the order of joining

	making sync.Mutex // held while Freeze makes the freezer's place
}

// place is a group's directory in one hierarchy, and the controllers that it is there for.
type place struct {
	at   *Hierarchy
	dir  string
	uses []*controller
}

// make creates the directories, then writes the limits. After an error the group
// has only the places that were made: one of the same name is not ours to remove.
func (g *Group) make(values []Value) error {
	for i, p := range g.places {
		if err := mkdir(p.dir); err != nil {
			g.places = g.places[:i]
			return err
		}
		if err := p.at.inherit(p.dir); err != nil {
			return err
		}
	}
	for _, v := range values {
		c := known(v.Controller)
		p := g.places[slices.IndexFunc(g.places, func(p place) bool { return slices.Contains(p.uses, c) })]
		if err := p.write(v); err != nil {
			if !exists(p.dir) {
				return fmt.Errorf("limit %s: the group has vanished: %w", c.name, err)
			}
			return explained(c, p.at.Version, err)
		}
	}
	return nil
}

// write makes one write, and the other that goes with it.
func (p place) write(v Value) error {
	err := writeFile(p.dir+"/"+v.File, v.Data)
	if v.Also == nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if also := p.write(*v.Also); err != nil || !errors.Is(also, fs.ErrNotExist) {
		return also
	}
	return nil
}

// Join says how a launcher puts its child into the group.
type Join struct {
	// Unified is the directory in the unified hierarchy, "" on pure v1: open it with
	// O_PATH for CLONE_INTO_CGROUP (Linux 5.7), or write "0" to
	// UnifiedProcs before Files.
	Unified, UnifiedProcs string
	// Files are the v1 files to which the child writes "0" between vfork and
	// exec, in this order: memory is last, because a small limit joined early
	// makes later steps fail with misleading errors. They are the groups' "tasks": for a
	// single thread that moves itself the kernel takes no lock that
	// holds up other forks (since Linux 5.5).
	Files []string
}

// Join gives the group's join instructions.
func (g *Group) Join() (j Join) {
	for _, p := range g.placed() {
		if p.at.Version == 2 {
			j.Unified, j.UnifiedProcs = p.dir, p.dir+"/cgroup.procs"
		} else {
			j.Files = append(j.Files, p.dir+"/tasks")
		}
	}
	return j
}

// Name is the name that was given to Create.
func (g *Group) Name() string { return g.name }

// Paths gives the group's directories, in the order of joining.
func (g *Group) Paths() (dirs []string) {
	for _, p := range g.placed() {
		dirs = append(dirs, p.dir)
	}
	return dirs
}

// placed is a snapshot: Freeze may add the freezer's place.
func (g *Group) placed() []place {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.places
}

// AddPID moves a running process, with all its threads, into the group.
func (g *Group) AddPID(pid int) error {
	for _, p := range g.placed() {
		if err := writeFile(p.dir+"/cgroup.procs", strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// PIDs lists the processes of the group and its descendants. Those in a pid
// namespace that we do not see are left out.
func (g *Group) PIDs() ([]int, error) {
	pids, err := treePIDs(g.placed()[0].dir)
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == 0 }), err
}

// Usage reads what the group has used. What no file tells stays unknown; a
// group that has vanished is fs.ErrNotExist.
func (g *Group) Usage() (Usage, error) {
	var u Usage
	var failed error
	buf := make([]byte, 0, 4096)
	for _, p := range g.placed() {
		read := func(file string) []byte {
			b, err := readFile(p.dir+"/"+file, buf)
			buf = b
			if err == nil {
				return b
			}
			// PSI that was switched off at boot has its files, unreadable (psi=0).
			if !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) && failed == nil {
				failed = err
			}
			return nil
		}
		if p.at.Version == 2 {
			unifiedUsage(read, &u)
			stalls(read, &u)
		}
		for _, c := range p.uses {
			if usage := c.in(p.at.Version).usage; usage != nil {
				usage(read, &u)
			}
		}
	}
	if dir := g.placed()[0].dir; !exists(dir) {
		return Usage{}, &fs.PathError{Op: "read usage of cgroup", Path: dir, Err: fs.ErrNotExist}
	}
	return u, failed
}

// Pressure reads the group's PSI for CPU, Memory or IO: where it is in the
// unified hierarchy, of a hybrid host too. Without PSI it is fs.ErrNotExist.
func (g *Group) Pressure(c Controller) (Pressure, error) {
	b, err := readFile(g.placed()[0].dir+"/"+string(c)+".pressure", nil)
	return parsePressure(b), err
}

// Pressure reads the host's PSI for CPU, Memory or IO. Without PSI in the kernel it is fs.ErrNotExist
// (CONFIG_PSI), and switched off (psi=1 was not given) it is EOPNOTSUPP.
func (h *Host) Pressure(c Controller) (Pressure, error) {
	b, err := readFile(filepath.Join(h.root, "proc/pressure", string(c)), nil)
	return parsePressure(b), err
}
