package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// On v2 a group has a controller only if every group above it hands it down by
// cgroup.subtree_control, and a group that hands down has no processes of its own
// (cgroup-v2.rst, "No Internal Process Constraint"; the root is exempt).

// harnessSuffix marks the group beside the run's in which this process waits
// while its own group hands down controllers. It is no child of the run's group, so
// that killing the run does not kill us.
const harnessSuffix = ".harness"

func (at *Hierarchy) harnessDir(run string) string { return at.runDir(run) + harnessSuffix }

// Delegated reports whether our own group was delegated to us and can be made
// use of: with v2's controllers no other process may be in it, which would not be ours to move.
func (h *Host) Delegated() bool {
	at := h.unified()
	if h.delegated == "" || at == nil || len(at.Controllers) == 0 {
		return h.delegated != ""
	}
	pids, err := ownPIDs(at.Parent)
	return err == nil && at.Parent == at.Own && slices.Equal(pids, []int{os.Getpid()})
}

// enable hands a controller down to the children of the run's group. Callers hold r.mu.
func (r *Run) enable(at *Hierarchy, c Controller) error {
	if r.enabled[c] {
		return nil
	}
	if !slices.Contains(listed(at.Parent+"/cgroup.subtree_control"), c) {
		if err := r.vacate(at); err != nil {
			return fmt.Errorf("hand cgroup controller %s down: %w", c, err)
		}
		if err := handDown(at.Parent, "+", c); err != nil {
			return err
		}
		r.lent = append(r.lent, c)
	}
	if err := handDown(at.runDir(r.name), "+", c); err != nil {
		return err
	}
	r.enabled[c] = true
	return nil
}

func handDown(dir, sign string, c Controller) error {
	err := writeFile(dir+"/cgroup.subtree_control", sign+string(c))
	hint := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		hint = "the group has processes of its own"
	case errors.Is(err, unix.EOPNOTSUPP):
		hint = "a group above has processes of its own, which makes it a threaded domain"
	case errors.Is(err, unix.ENOENT):
		hint = "the group above does not hand it down: it must be delegated"
	case errors.Is(err, unix.EINVAL) && c == CPU:
		hint = "realtime processes in the group, with CONFIG_RT_GROUP_SCHED"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		hint = "not delegated to this user: systemd-run --user --scope -p Delegate=yes COMMAND"
	}
	if hint != "" {
		return fmt.Errorf("hand cgroup controller %s down: %w (hint: %s)", c, err, hint)
	}
	return fmt.Errorf("hand cgroup controller %s down: %w", c, err)
}

// vacate leaves Parent without processes before it hands anything down. The kernel would refuse memory
// and io there (EBUSY), but for cpu, cpuset and pids make it a threaded
// domain, in which the groups below are invalid (cgroup-v2.rst, "Threads"). We move
// ourselves, to a leaf; other processes in the group are not ours to move.
func (r *Run) vacate(at *Hierarchy) error {
	if !exists(at.Parent + "/cgroup.type") {
		return nil // the root of the hierarchy, which is exempt
	}
	pids, err := ownPIDs(at.Parent)
	if err != nil || len(pids) == 0 {
		return err
	}
	if len(pids) != 1 || pids[0] != os.Getpid() {
		return fmt.Errorf("%s holds other processes too, %v, and v2 admits none where controllers are handed down "+
			"(hint: give the command a group of its own: systemd-run --scope -p Delegate=yes COMMAND, with --user if not root; "+
			"in a container, move them to a group below)", at.Parent, pids)
	}
	dir := at.harnessDir(r.name)
	if err := mkdir(dir); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	r.aside, r.before = true, listed(at.Parent+"/cgroup.subtree_control")
	return writeFile(dir+"/cgroup.procs", "0")
}

// giveBack takes back the controllers that Parent hands down only for us, and
// brings this process home. Another run that uses a controller by now keeps it: EBUSY.
// Callers hold r.mu.
func (r *Run) giveBack(ctx context.Context) error {
	at := r.host.unified()
	if at == nil {
		return nil
	}
	var errs []error
	if r.aside { // then Parent is ours alone, and others handed down in it only for our containers
		for _, c := range listed(at.Parent + "/cgroup.subtree_control") {
			if !slices.Contains(r.before, c) && !slices.Contains(r.lent, c) {
				r.lent = append(r.lent, c)
			}
		}
	}
	for _, c := range r.lent {
		if err := handDown(at.Parent, "-", c); err != nil && !errors.Is(err, unix.EBUSY) && !gone(err) {
			errs = append(errs, err)
		}
	}
	r.lent = nil
	if r.aside {
		if err := writeFile(filepath.Join(at.Parent, "cgroup.procs"), "0"); !gone(err) { // else we were moved out of it
			errs = append(errs, err)
		}
		errs = append(errs, removeTree(ctx, at.harnessDir(r.name)))
		r.aside = false
	}
	return errors.Join(errs...)
}
