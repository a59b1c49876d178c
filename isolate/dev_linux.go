package isolate

import (
	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// devices are those of the OCI runtime specification's default list
// (config-linux.md, "Default Devices").
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var devLinks = [][2]string{
	{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"},
}

// mountDev makes a /dev of the container's own on a tmpfs. A user namespace
// may not make device nodes: there they are bound from the host.
func mountDev(s *Spec) []launch.Op {
	const phase = "mount dev"
	bind := s.Namespaces.Has(UserNS)
	umask := func(mode uint32) launch.Op {
		return launch.Op{Phase: phase, Call: unix.SYS_UMASK, Args: []launch.Arg{launch.Octal(mode)}}
	}
	ops := []launch.Op{
		mount(phase, "tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=64k", "the root needs this directory"),
		umask(0),
	}
	for _, d := range devices {
		path := "/dev/" + d.name
		mode, dev := uint32(unix.S_IFCHR|0o666), unix.Mkdev(d.major, d.minor)
		if bind {
			mode, dev = unix.S_IFREG|0o666, 0
		}
		ops = append(ops, launch.Op{Phase: phase, Object: path, Call: unix.SYS_MKNODAT, Hint: "making devices needs CAP_MKNOD",
			Args: []launch.Arg{launch.CurrentDir, launch.String(path), launch.Octal(mode), launch.Number(dev)}})
		if bind {
			ops = append(ops, mount(phase, fromOldRoot(path), path, "", unix.MS_BIND, "", "is "+path+" there?"))
		}
	}
	for _, l := range devLinks {
		ops = append(ops, launch.Op{Phase: phase, Object: l[1], Call: unix.SYS_SYMLINKAT,
			Args: []launch.Arg{launch.String(l[0]), launch.CurrentDir, launch.String(l[1])}})
	}
	return append(ops,
		mkdir(phase, "/dev/pts", 0o755),
		mount(phase, "devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620", "CONFIG_UNIX98_PTYS"),
		mkdir(phase, "/dev/shm", 0o1777),
		mount(phase, "tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=64m", "CONFIG_TMPFS"),
		umask(0o022),
	)
}
