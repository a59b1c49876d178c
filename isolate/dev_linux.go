package isolate

import (
	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// devices are those of the OCI runtime specification's default list
// (config-linux.md, "Default Devices").
var devices = []struct {
	path         string
	major, minor uint32
}{
	{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
}

var devLinks = []struct{ to, path string }{
	{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
	{"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"},
}

// mountDev makes a /dev of the container's own on a tmpfs. A user namespace
// may not make device nodes: there they are bound from the host.
func (c compiler) mountDev() {
	const phase = "mount dev"
	c.mount(phase, "tmpfs", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=64k", rootNeeds)
	c.umask(phase, 0)
	bind := c.spec.Namespaces.Has(UserNS)
	for _, d := range devices {
		mode, dev := uint32(unix.S_IFCHR|0o666), unix.Mkdev(d.major, d.minor)
		if bind {
			mode, dev = unix.S_IFREG|0o666, 0
		}
		c.Add(launch.Op{Phase: phase, Object: d.path, Call: unix.SYS_MKNODAT, Hint: "making devices needs CAP_MKNOD"},
			launch.CurrentDir, launch.String(d.path), launch.Octal(mode), launch.Number(dev))
		if bind {
			c.mount(phase, fromOldRoot(d.path), d.path, "", unix.MS_BIND, "", "is it there on the host?")
		}
	}
	for _, l := range devLinks {
		c.Add(launch.Op{Phase: phase, Object: l.path, Call: unix.SYS_SYMLINKAT},
			launch.String(l.to), launch.CurrentDir, launch.String(l.path))
	}
	c.mkdir(phase, "/dev/pts", 0o755)
	c.mount(phase, "devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620", "CONFIG_UNIX98_PTYS")
	c.mkdir(phase, "/dev/shm", 0o1777)
	c.mount(phase, "tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=1777,size=64m", "CONFIG_TMPFS")
	c.umask(phase, 0o022)
}

func (c compiler) umask(phase string, mode uint32) {
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_UMASK}, launch.Octal(mode))
}
