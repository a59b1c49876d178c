package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Detect reads the host's layout. The files are looked for under root, "/" on a
// real host: tests give a tree of their own. A host without cgroups is
// no error: it has no hierarchies, and Missing says why of each controller.
func Detect(root string) (*Host, error) {
	return detect(root, access{mayWrite, isDelegated})
}

// access is what a tree of files cannot tell of a real host.
type access struct {
	mayWrite  func(dir string, version int) error
	delegated func(dir string) bool
}

func detect(root string, may access) (*Host, error) {
	mounts, err := cgroupMounts(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if errors.Is(err, fs.ErrNotExist) {
		b = nil // CONFIG_CGROUPS is off
	} else if err != nil {
		return nil, fmt.Errorf("read our own cgroups: %w", err)
	}
	h := &Host{root: root}
	members := parseMemberships(b)
	for _, m := range members {
		at := m.hierarchy(root, m.find(mounts))
		// The mark is in the tree that systemd itself lives in, which has no v1 controllers.
		if at != nil && at.inside() && len(m.controllers) == 0 && may.delegated(at.Own) {
			h.delegated = m.path
		}
	}
	for _, m := range members {
		mount := m.find(mounts)
		at := m.hierarchy(root, mount)
		if at == nil {
			continue // not visible here
		}
		at.Parent, at.Err = at.chooseParent(mount, may, m.path == h.delegated)
		if at.Version == 2 {
			at.Controllers = listed(filepath.Join(at.Parent, "cgroup.controllers"))
		}
		h.Hierarchies = append(h.Hierarchies, *at)
	}
	slices.SortStableFunc(h.Hierarchies, func(a, b Hierarchy) int { return b.Version - a.Version })

	b, _ = os.ReadFile(filepath.Join(root, "proc/cgroups")) // without it nothing is known of what is not mounted
	h.Missing = h.missing(parseSubsystems(b))
	return h, nil
}

// hierarchy is the tree that a membership is in, nil without a mount.
func (m membership) hierarchy(root string, mount *mountinfo.Info) *Hierarchy {
	if mount == nil {
		return nil
	}
	at := &Hierarchy{Version: m.version(), Mount: filepath.Join(root, mount.Mountpoint), Controllers: m.controllers}
	if below, ok := within(m.path, mount.Root); ok {
		at.Own = filepath.Join(at.Mount, below)
	}
	return at
}

// inside reports whether our own group is visible, and not the top of what is.
func (at *Hierarchy) inside() bool { return at.Own != "" && at.Own != at.Mount }

// chooseParent picks the directory in which run groups are made.
//
// A group of our own that was delegated to us comes first: systemd owns every other
// group of its tree and marks those that it will not touch (man systemd.resource-control, Delegate=;
// https://systemd.io/CGROUP_DELEGATION). On v1 it delegates the group of the same path in the
// hierarchies that it manages. Otherwise it is the top of what we
// see, as for dockerd: groups made there are next to systemd's slices,
// none of which is changed. An ordinary user cannot write there and may have
// a group of their own.
func (at *Hierarchy) chooseParent(m *mountinfo.Info, may access, delegated bool) (string, error) {
	if slices.Contains(strings.Split(m.Options, ","), "ro") {
		return at.Mount, fmt.Errorf("%s is mounted read-only (hint: a container must be given its cgroups to write, as docker run --privileged does)", at.Mount)
	}
	if delegated && at.inside() && may.mayWrite(at.Own, at.Version) == nil {
		return at.Own, nil
	}
	err := may.mayWrite(at.Mount, at.Version)
	if err == nil {
		return at.Mount, nil
	}
	if at.inside() && may.mayWrite(at.Own, at.Version) == nil {
		return at.Own, nil
	}
	hint := "become root"
	if at.Version == 2 {
		hint = "become root, or run it in a group of your own: systemd-run --user --scope -p Delegate=yes COMMAND"
	}
	return at.Mount, fmt.Errorf("no group may be made in %s: %w (hint: %s)", at.Mount, err, hint)
}

// mayWrite checks what delegation grants (cgroup-v2.rst, "Model of
// Delegation"): the directory and, on v2, two files in it.
func mayWrite(dir string, version int) error {
	paths := []string{dir}
	if version == 2 {
		paths = append(paths, dir+"/cgroup.procs", dir+"/cgroup.subtree_control")
	}
	for _, path := range paths {
		if err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err != nil {
			return &fs.PathError{Op: "write to", Path: path, Err: err}
		}
	}
	return nil
}

// isDelegated looks for systemd's mark: user.delegate since systemd 251 and
// Linux 5.7, trusted.delegate before, which only root can read.
func isDelegated(dir string) bool {
	value := make([]byte, 8)
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Lgetxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

func cgroupMounts(path string) ([]*mountinfo.Info, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the mounted cgroup hierarchies: %w", err)
	}
	mounts, err := mountinfo.GetMountsFromReader(bytes.NewReader(b), mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("read the mounted cgroup hierarchies: %s: %w", path, err)
	}
	return mounts, nil
}
