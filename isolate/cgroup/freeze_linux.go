package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Freeze stops every process of the group and waits until all are frozen. The
// unified hierarchy does it since Linux 5.2; elsewhere it takes v1's freezer,
// in which a group is made now if it was not asked for at Create. A Freeze that
// fails leaves the group thawed.
func (g *Group) Freeze(ctx context.Context) error {
	dir, err := g.freezer(ctx)
	if err == nil {
		err = poll(ctx, func() (bool, error) {
			// Written again each time: v1 may get stuck half-way, and retrying is the documented
			// cure (freezer-subsystem.rst).
			if err := setFrozen(dir, true); err != nil {
				return true, err
			}
			return frozen(dir)
		})
		if err != nil {
			setFrozen(dir, false)
		}
	}
	if err != nil {
		return fmt.Errorf("freeze cgroup %s: %w", g.name, err)
	}
	return nil
}

// Thaw undoes Freeze and waits until the group runs again. It does nothing to one
// that is not frozen.
func (g *Group) Thaw(ctx context.Context) error {
	for _, p := range g.placed() {
		err := setFrozen(p.dir, false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = poll(ctx, func() (bool, error) {
				still, err := frozen(p.dir)
				return !still, err
			})
		}
		if err != nil {
			return fmt.Errorf("thaw cgroup %s: %w", g.name, err)
		}
	}
	return nil
}

// freezer is the directory of the group that can be frozen.
func (g *Group) freezer(ctx context.Context) (string, error) {
	g.making.Lock()
	defer g.making.Unlock()
	places := g.placed()
	for _, p := range places {
		if exists(p.dir+"/cgroup.freeze") || exists(p.dir+"/freezer.state") {
			return p.dir, nil
		}
	}
	at, err := g.run.host.Lookup(Freezer)
	if err != nil {
		return "", err
	}
	p := place{at: at, dir: filepath.Join(at.runDir(g.run.name), g.name)}
	if err := g.run.prepare(p); err != nil {
		return "", err
	}
	if err := mkdir(p.dir); err != nil {
		return "", err
	}
	g.mu.Lock()
	g.places = slices.Insert(slices.Clone(places), max(1, len(places)-1), p) // the marker stays first, memory last
	g.mu.Unlock()
	// A process may fork between being listed and being moved: until every one is in.
	return p.dir, poll(ctx, func() (bool, error) {
		all, err := g.PIDs()
		if err != nil {
			return true, err
		}
		in, err := treePIDs(p.dir)
		if err != nil {
			return true, err
		}
		done := true
		for _, pid := range all {
			if slices.Contains(in, pid) {
				continue
			}
			done = false
			if err := writeFile(p.dir+"/cgroup.procs", strconv.Itoa(pid)); err != nil && !errors.Is(err, unix.ESRCH) {
				return true, err
			}
		}
		return done, nil
	})
}

func frozen(dir string) (bool, error) {
	b, err := readFile(dir+"/cgroup.events", nil)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = readFile(dir+"/freezer.state", nil)
		return trim(b) == "FROZEN", err
	}
	for key, n := range flatKeyed(b) {
		if key == "frozen" {
			return n.Value == 1, err
		}
	}
	return false, err
}

// Kill kills every process of the group and waits until none is left or ctx ends.
// Zombies do not count: reaping them is their parent's business.
func (g *Group) Kill(ctx context.Context) error {
	places := g.placed()
	for _, p := range places {
		if slices.Contains(p.at.Controllers, Freezer) {
			thawTree(p.dir) // v1 delivers SIGKILL only to the thawed
		}
	}
	return killTree(ctx, places[0].dir)
}

// RemoveIdle removes a group that nobody is in, and reports whether it did: the
// kernel keeps one that has processes, or groups, and Kill and Remove are for that.
// Asking first who is in it would cost more than the removal.
func (g *Group) RemoveIdle() bool {
	for _, p := range g.placed() { // the marker first: every process of the group is in it
		if err := unix.Rmdir(p.dir); err != nil && !gone(err) {
			return false
		}
	}
	return true
}

// Remove removes the group's directories, with groups that were made inside. While exiting
// processes keep them busy it tries again, until ctx ends or two seconds have
// passed. A group that has vanished is no error.
func (g *Group) Remove(ctx context.Context) error {
	var errs []error
	for _, p := range g.placed() {
		errs = append(errs, removeTree(ctx, p.dir))
	}
	return errors.Join(errs...)
}
