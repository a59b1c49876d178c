package isolate

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// adapt makes of a valid spec one that a kernel which lacks those features
// can carry out, or says what it cannot.
func (s *Spec) adapt(missing launch.Features) error {
	if s.Namespaces.Has(Time) {
		switch {
		case missing.Has(launch.TimeNamespace):
			return errors.New("time namespace: needs Linux 5.6 and CONFIG_TIME_NS")
		case missing.Has(launch.TimeExec) && s.TimeOffset != 0:
			return errors.New("time offset: needs Linux 6.3, where execve enters a time namespace")
		case missing.Has(launch.TimeExec | launch.Clone3):
			return errors.New("time namespace: needs Linux 6.3, or clone3, which a seccomp filter of an outer container may refuse")
		}
	}
	if missing.Has(launch.UserOverlay) && s.Root != nil && s.Root.Overlay != nil && s.Root.Overlay.UserXattr {
		root, overlay := *s.Root, *s.Root.Overlay
		overlay.UserXattr = false // an option that the kernel does not know
		root.Overlay = &overlay
		s.Root = &root
	}
	return nil
}

// keepMountFlags notes how the file systems that are bound read-only, as a whole or in
// part, are mounted. In a user namespace these flags are locked: to drop nosuid, nodev
// or noexec, as a remount that does not name them would, is EPERM
// (mount_namespaces(7)).
func (s *Spec) keepMountFlags() {
	if !s.Namespaces.Has(UserNS) {
		return
	}
	if s.Root != nil && s.Root.Overlay == nil && s.Root.ReadOnly {
		root := *s.Root
		root.kept = lockedFlags(root.Path)
		s.Root = &root
	}
	s.Mounts = slices.Clone(s.Mounts)
	for i := range s.Mounts {
		if m := &s.Mounts[i]; m.Type == "" && m.ReadOnly {
			m.kept = lockedFlags(m.Source)
		}
	}
	s.keptAt = nil
	for _, path := range s.ReadOnlyPaths {
		if source, ok := s.onHost(path); ok && !ofKernel(path) {
			if s.keptAt == nil {
				s.keptAt = map[string]uint64{}
			}
			s.keptAt[path] = lockedFlags(source)
		}
	}
}

// lockedFlags has none for what cannot be looked at: its mount will tell.
func lockedFlags(path string) (flags uint64) {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	for _, f := range []struct{ shown, flag uint64 }{
		{unix.ST_NOSUID, unix.MS_NOSUID}, {unix.ST_NODEV, unix.MS_NODEV}, {unix.ST_NOEXEC, unix.MS_NOEXEC},
	} {
		if uint64(st.Flags)&f.shown != 0 {
			flags |= f.flag
		}
	}
	return flags
}
