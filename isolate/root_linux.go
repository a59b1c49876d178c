package isolate

import (
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

func mount(phase, source, target, fstype string, flags uint64, data, hint string) launch.Op {
	return launch.Op{Phase: phase, Object: "on " + target, Call: unix.SYS_MOUNT, Hint: hint, Args: []launch.Arg{
		launch.String(source), launch.String(target), launch.String(fstype), launch.Flags(launch.MountFlags, flags), launch.String(data),
	}}
}

// rootOps gives the container its root and what is mounted in it.
//
// The mounts inside are made after pivot_root, with absolute paths: whatever
// symbolic links the root holds, they lead to places inside it. What is bound
// from the host is named relative to the working directory, which is then the
// old root; that one is detached last, because procfs may be mounted in a user
// namespace only while another, unobscured one is in sight.
func rootOps(s *Spec) []launch.Op {
	var ops []launch.Op
	add := func(list ...launch.Op) { ops = append(ops, list...) }

	add(mount("private mounts", "none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "", ""))
	add(mountRoot(s.Root)...)
	chdir := func(to string) launch.Op {
		return launch.Op{Phase: "pivot_root", Object: to, Call: unix.SYS_CHDIR, Args: []launch.Arg{launch.String(to)}}
	}
	binds := s.bindsFromHost()
	if binds {
		add(launch.Op{Phase: "pivot_root", Object: "/", Call: unix.SYS_OPENAT, Keep: true,
			Args: []launch.Arg{launch.CurrentDir, launch.String("/"), launch.Flags(launch.OpenFlags, unix.O_PATH|unix.O_CLOEXEC), launch.Number(0)}})
	}
	add(chdir(s.Root.Path),
		launch.Op{Phase: "pivot_root", Object: s.Root.Path, Call: unix.SYS_PIVOT_ROOT,
			Args: []launch.Arg{launch.String("."), launch.String(".")},
			Hint: "the root must be a mount point, and the host's root not the initramfs"})
	if binds {
		add(launch.Op{Phase: "pivot_root", Object: "to the old root", Call: unix.SYS_FCHDIR, Args: []launch.Arg{launch.Kept}},
			launch.Op{Phase: "pivot_root", Call: unix.SYS_CLOSE, Args: []launch.Arg{launch.Kept}})
	}
	const inside = "the root needs this directory"
	if s.Proc {
		add(mount("mount proc", "proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "", inside))
	}
	if s.Sys {
		add(mountSys(s)...)
	}
	if s.Dev {
		add(mountDev(s)...)
	}
	for _, m := range s.Mounts {
		add(mountInside(m)...)
	}
	add(launch.Op{Phase: "umount old root", Call: unix.SYS_UMOUNT2, Args: []launch.Arg{launch.String("."), launch.Flags(launch.UmountFlags, unix.MNT_DETACH)}})
	if binds {
		add(launch.Op{Phase: "umount old root", Object: "/", Call: unix.SYS_CHDIR, Args: []launch.Arg{launch.String("/")}})
	}
	return ops
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

func mountRoot(r *Root) []launch.Op {
	if r.Overlay != nil {
		flags := uint64(0)
		if r.ReadOnly {
			flags = unix.MS_RDONLY
		}
		return []launch.Op{mount("mount overlay", "overlay", r.Path, "overlay", flags, r.Overlay.Options(),
			"CONFIG_OVERLAY_FS; the upper directory's file system must support d_type and xattrs (not overlay, not NFS; xfs with ftype=1)")}
	}
	ops := []launch.Op{mount("bind root", r.Path, r.Path, "", unix.MS_BIND|unix.MS_REC, "", "")}
	if r.ReadOnly {
		ops = append(ops, mount("bind root", "none", r.Path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "", ""))
	}
	return ops
}

func mountSys(s *Spec) []launch.Op {
	flags := uint64(unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if s.Namespaces.Has(UserNS) && !s.Namespaces.Has(Net) {
		// sysfs shows a network namespace: who does not own one may only bind it.
		return []launch.Op{
			mount("mount sys", "sys", "/sys", "", unix.MS_BIND|unix.MS_REC, "", "the root needs this directory"),
			mount("mount sys", "none", "/sys", "", unix.MS_REMOUNT|unix.MS_BIND|flags, "", ""),
		}
	}
	return []launch.Op{mount("mount sys", "sysfs", "/sys", "sysfs", flags, "", "the root needs this directory")}
}

func mountInside(m Mount) []launch.Op {
	phase := "mount " + m.Target
	ops := []launch.Op{mkdir(phase, m.Target, 0o755)}
	flags := uint64(unix.MS_NOSUID | unix.MS_NODEV)
	if m.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if m.Type != "" {
		return append(ops, mount(phase, m.Type, m.Target, m.Type, flags, m.Options, ""))
	}
	ops = append(ops, mount(phase, fromOldRoot(m.Source), m.Target, "", unix.MS_BIND|unix.MS_REC, "", "is "+m.Source+" there?"))
	if m.ReadOnly {
		ops = append(ops, mount(phase, "none", m.Target, "", unix.MS_REMOUNT|unix.MS_BIND|flags, "", ""))
	}
	return ops
}

// fromOldRoot names a file of the host while the working directory is its root.
func fromOldRoot(path string) string { return "./" + strings.TrimLeft(path, "/") }

func mkdir(phase, path string, mode uint32) launch.Op {
	return launch.Op{Phase: phase, Object: path, Call: unix.SYS_MKDIRAT, Try: unix.EEXIST, Hint: "make it in the root's image, or give the container a writable root",
		Args: []launch.Arg{launch.CurrentDir, launch.String(path), launch.Octal(mode)}}
}
