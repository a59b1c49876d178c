package isolate

import (
	"encoding/binary"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

const (
	rootNeeds = "the root needs this directory"
	mkdirHint = "make it in the root's image, or give the container a writable root"
)

func (c compiler) mount(phase, source, target, fstype string, flags uint64, data, hint string) {
	c.Add(launch.Op{Phase: phase, Object: "on " + target, Call: unix.SYS_MOUNT, Hint: hint},
		launch.String(source), launch.String(target), launch.String(fstype), launch.Flags(launch.MountFlags, flags), launch.String(data))
}

// remount changes the flags of a bind mount, which the mount itself ignores.
func (c compiler) remount(phase, target string, flags uint64) {
	c.mount(phase, "none", target, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "", "")
}

func (c compiler) mkdir(phase, path string, mode uint32) {
	c.Add(launch.Op{Phase: phase, Object: path, Call: unix.SYS_MKDIRAT, Try: unix.EEXIST, Hint: mkdirHint},
		launch.CurrentDir, launch.String(path), launch.Octal(mode))
}

// root gives the container its root and what is mounted in it.
//
// The mounts inside are made after pivot_root, with absolute paths: whatever
// symbolic links the root holds, they lead to places inside it. What is bound
// from the host is named relative to the working directory, which is then the
// old root; that one is detached last, because procfs may be mounted in a user
// namespace only while another, unobscured one is in sight.
func (c compiler) root() {
	s := c.spec
	c.mount("private mounts", "none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "", "")
	c.mountRoot()
	c.pivot()
	if s.Proc {
		c.mount("mount proc", "proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "", rootNeeds)
	}
	if s.Sys {
		c.mountSys()
	}
	if s.Dev {
		c.mountDev()
	}
	for _, m := range s.Mounts {
		c.mountInside(m)
	}
	if len(s.MaskedPaths) > 0 {
		c.mask(s.MaskedPaths)
	}
	c.readOnly(s.ReadOnlyPaths)
	const phase = "umount old root"
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_UMOUNT2}, launch.String("."), launch.Flags(launch.UmountFlags, unix.MNT_DETACH))
	if s.bindsFromHost() {
		c.chdir(phase, "/")
	}
}

func (c compiler) mountRoot() {
	r := c.spec.Root
	if r.Overlay == nil {
		c.mount("bind root", r.Path, r.Path, "", unix.MS_BIND|unix.MS_REC, "", "")
		if r.ReadOnly {
			c.remount("bind root", r.Path, unix.MS_RDONLY|r.kept)
		}
		return
	}
	flags := uint64(0)
	if r.ReadOnly {
		flags = unix.MS_RDONLY
	}
	c.mount("mount overlay", "overlay", r.Path, "overlay", flags, r.Overlay.Options(),
		"CONFIG_OVERLAY_FS; the upper directory's file system must support d_type and xattrs (not overlay, not NFS; xfs with ftype=1)")
}

// pivot makes the new root the root. The old one stays mounted over it, to be
// reached as the working directory.
func (c compiler) pivot() {
	const phase = "pivot_root"
	path, binds := c.spec.Root.Path, c.spec.bindsFromHost()
	if binds {
		c.Add(launch.Op{Phase: phase, Object: "/", Call: unix.SYS_OPENAT, Keep: true},
			launch.CurrentDir, launch.String("/"), launch.Flags(launch.OpenFlags, unix.O_PATH|unix.O_CLOEXEC), launch.Number(0))
	}
	c.chdir(phase, path)
	c.Add(launch.Op{Phase: phase, Object: path, Call: unix.SYS_PIVOT_ROOT,
		Hint: "the root must be a mount point, and the host's root not the initramfs"},
		launch.String("."), launch.String("."))
	if binds {
		c.Add(launch.Op{Phase: phase, Object: "to the old root", Call: unix.SYS_FCHDIR}, launch.Kept)
		c.Add(launch.Op{Phase: phase, Call: unix.SYS_CLOSE}, launch.Kept)
	}
}

// bindsFromHost reports whether anything is mounted from the host's files.
func (s *Spec) bindsFromHost() bool {
	for _, m := range s.Mounts {
		if m.Type == "" {
			return true
		}
	}
	return s.Namespaces.Has(UserNS) && (s.Dev || s.Sys && !s.Namespaces.Has(Net))
}

func (c compiler) mountSys() {
	const phase = "mount sys"
	flags := uint64(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if c.spec.Namespaces.Has(UserNS) && !c.spec.Namespaces.Has(Net) {
		// sysfs shows a network namespace: who does not own one may only bind it.
		c.mount(phase, "sys", "/sys", "", unix.MS_BIND|unix.MS_REC, "", rootNeeds)
		c.remount(phase, "/sys", flags)
		return
	}
	c.mount(phase, "sysfs", "/sys", "sysfs", flags, "", rootNeeds)
}

func (c compiler) mountInside(m Mount) {
	phase := "mount " + m.Target
	c.mountPoint(phase, m.Target)
	flags := uint64(unix.MS_NOSUID | unix.MS_NODEV)
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if m.Type != "" {
		c.mount(phase, m.Type, m.Target, m.Type, flags, m.Options, "")
		return
	}
	c.mount(phase, fromOldRoot(m.Source), m.Target, "", unix.MS_BIND|unix.MS_REC, "", "is "+m.Source+" there?")
	if m.ReadOnly {
		c.remount(phase, m.Target, flags|m.kept)
	}
}

// mountPoint makes a directory to mount on. The way there goes through the
// image, and a symbolic link in it to /proc/self/cwd would lead out of the
// root, to the old one: what is mounted there only this namespace sees, but a
// directory would be made on the host.
func (c compiler) mountPoint(phase, target string) {
	dir, name := path.Split(target)
	if dir == "/" || c.missing.Has(launch.Openat2) {
		c.mkdir(phase, target, 0o755)
		return
	}
	c.openStrict(phase, dir, unix.O_PATH|unix.O_DIRECTORY, rootNeeds)
	c.Add(launch.Op{Phase: phase, Object: target, Call: unix.SYS_MKDIRAT, Try: unix.EEXIST, Hint: mkdirHint},
		launch.Kept, launch.String(name), launch.Octal(0o755))
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_CLOSE}, launch.Kept)
}

// openStrict opens a path unless a magic link of procfs is on the way: ELOOP.
func (c compiler) openStrict(phase, path string, flags uint64, hint string) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	b := binary.NativeEndian.AppendUint64(nil, how.Flags)
	b = binary.NativeEndian.AppendUint64(b, how.Mode)
	b = binary.NativeEndian.AppendUint64(b, how.Resolve)
	c.Add(launch.Op{Phase: phase, Object: path, Call: unix.SYS_OPENAT2, Keep: true, Hint: hint},
		launch.CurrentDir, launch.String(path), launch.Bytes(string(b)), launch.Number(len(b)))
}

// fromOldRoot names a file of the host while the working directory is its root.
func fromOldRoot(path string) string { return "./" + strings.TrimLeft(path, "/") }
