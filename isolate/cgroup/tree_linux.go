package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// What is done to a group and all below it, given its directory only: so that
// Clean needs no more than a ledger's paths.

// ownPIDs lists a group's own processes; one that our pid namespace does not see is
// 0. Those of a threaded group are listed by the domain above it.
func ownPIDs(dir string) ([]int, error) {
	b, err := readFile(dir+"/cgroup.procs", nil)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return pidList(b)
}

// treePIDs lists the processes of a group and of all below it.
func treePIDs(dir string) (pids []int, err error) {
	err = walk(dir, func(dir string) error {
		own, err := ownPIDs(dir)
		pids = append(pids, own...)
		return err
	})
	return pids, err
}

// walk visits a group and all below it, parents first. What vanishes meanwhile
// below the top is passed over.
func walk(dir string, visit func(string) error) error {
	if err := visit(dir); err != nil {
		return err
	}
	children, err := subgroups(dir)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := walk(child, visit); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

func subgroups(dir string) (children []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			children = append(children, filepath.Join(dir, e.Name()))
		}
	}
	return children, nil
}

// killTree kills every process in the tree and waits until none is left. A
// tree that has vanished is no error.
func killTree(ctx context.Context, dir string) error {
	err := poll(ctx, func() (bool, error) {
		pids, err := treePIDs(dir)
		if err != nil || len(pids) == 0 {
			return true, err
		}
		return false, killOnce(dir, pids)
	})
	if err != nil && !gone(err) {
		return fmt.Errorf("kill the processes in cgroup %s: %w", dir, err)
	}
	return nil
}

func killOnce(dir string, pids []int) error {
	if slices.Contains(pids, os.Getpid()) {
		return fmt.Errorf("this process, %d, is in it", os.Getpid())
	}
	err := writeFile(dir+"/cgroup.kill", "1") // all at once, forks included: Linux 5.14, unified
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Frozen, a fork bomb cannot outrun us. v1 delivers SIGKILL only to the thawed.
	setFrozen(dir, true)
	defer thawTree(dir)
	if pids, err = treePIDs(dir); err != nil {
		return err
	}
	for batch := range slices.Chunk(pids, 256) { // of descriptors
		if err := killMembers(dir, batch); err != nil {
			return err
		}
	}
	return nil
}

// thawTree thaws a group and all below it that were frozen by themselves.
func thawTree(dir string) {
	walk(dir, func(dir string) error { setFrozen(dir, false); return nil })
}

// killMembers kills those processes that are still in the tree, however pids are
// reused meanwhile: a descriptor fixes who each is, and only then are they looked
// up again.
func killMembers(dir string, pids []int) error {
	fds := map[int]int{}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		if pid == 0 {
			continue // not in our pid namespace: and kill(0) would be ourselves
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.3, or behind a seccomp filter
			unix.Kill(pid, unix.SIGKILL)
		} else if err == nil {
			fds[pid] = fd
		} // else it is gone, or seen again in the next round
	}
	members, err := treePIDs(dir)
	for _, pid := range members {
		if fd, ok := fds[pid]; ok {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
	}
	return err
}

// setFrozen asks a group's freezer, of either version, if it has one.
func setFrozen(dir string, frozen bool) error {
	state, freeze := "THAWED", "0"
	if frozen {
		state, freeze = "FROZEN", "1"
	}
	err := writeFile(dir+"/cgroup.freeze", freeze)
	if errors.Is(err, fs.ErrNotExist) {
		err = writeFile(dir+"/freezer.state", state)
	}
	return err
}

// removeWait bounds the removal of one group beyond ctx: a process that was reaped may hold
// its group for some milliseconds more.
const removeWait = 2 * time.Second

// removeTree removes a group and all below it.
func removeTree(ctx context.Context, dir string) error {
	err := unix.Rmdir(dir)
	if errors.Is(err, unix.EBUSY) {
		children, _ := subgroups(dir)
		for _, child := range children {
			if err := removeTree(ctx, child); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, removeWait)
		defer cancel()
		poll(ctx, func() (bool, error) {
			err = unix.Rmdir(dir)
			return !errors.Is(err, unix.EBUSY), nil
		})
	}
	switch {
	case err == nil || gone(err):
		return nil
	case errors.Is(err, unix.EBUSY):
		pids, _ := treePIDs(dir)
		return fmt.Errorf("remove cgroup %s: %w (processes still in it: %v)", dir, err, pids)
	}
	return fmt.Errorf("remove cgroup %s: %w", dir, err)
}

// poll repeats a step until it is done or fails, or ctx ends. The pauses grow from
// 50 µs, about what a process takes to die, to 10 ms.
func poll(ctx context.Context, step func() (done bool, err error)) error {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		if done, err := step(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
