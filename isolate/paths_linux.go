package isolate

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// DockerMasked gives the paths that Docker hides: they tell of the host's
// hardware, kernel and other containers, and are in no namespace (moby,
// daemon/pkg/oci/defaults.go). A directory ends in a slash.
var DockerMasked = sync.OnceValue(func() []string {
	// Each processor has one, where it has any.
	throttle, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/")
	return slices.Concat([]string{
		"/proc/acpi/", "/proc/asound/", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi/", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap/", "/sys/firmware/",
	}, throttle)
})

// DockerReadOnly are the paths that Docker makes read-only: through them root
// of a container would set up the host.
var DockerReadOnly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// emptyDir is a directory of procfs without anything in it that nobody can
// make anything in: the kernel keeps it for its name alone (proc_tty_init in
// fs/proc/proc_tty.c). To bind it over another costs a fifth of an empty
// tmpfs, which is what other runtimes mount.
const emptyDir = "/proc/tty/ldisc"

// mask hides paths: nothing is to be read there, whoever asks. Those that
// this kernel does not have are left out.
func (c compiler) mask(paths []string) {
	const phase = "mask paths"
	for i, source := range []string{"/dev/null", emptyDir} {
		ofKind := func(path string) bool { return isDir(path) == (i == 1) }
		if !slices.ContainsFunc(paths, ofKind) {
			continue
		}
		// ENOENT of the mounts is the path's, not the source's.
		c.Add(launch.Op{Phase: phase, Object: source, Call: unix.SYS_OPENAT, Keep: true, Hint: "what is bound over masked paths; CONFIG_TTY"},
			launch.CurrentDir, launch.String(source), launch.Flags(launch.OpenFlags, unix.O_PATH|unix.O_CLOEXEC), launch.Number(0))
		c.Add(launch.Op{Phase: phase, Object: source, Call: unix.SYS_CLOSE}, launch.Kept)
		for _, path := range paths {
			if ofKind(path) {
				c.tryMount(phase, source, path, unix.MS_BIND, "a masked directory is written with a / at its end, a file without")
			}
		}
	}
}

// readOnly makes what is mounted at the paths, and below, read-only.
func (c compiler) readOnly(paths []string) {
	const phase = "read-only paths"
	for _, path := range paths {
		c.tryMount(phase, path, path, unix.MS_BIND|unix.MS_REC, "")
		c.tryMount(phase, "none", path, unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|c.flagsAt(path), "")
	}
}

// flagsAt are the flags of the mount that a path is on: a remount takes off
// those that it does not name.
func (c compiler) flagsAt(path string) uint64 {
	if ofKernel(path) {
		return unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	}
	flags := c.spec.keptAt[path]
	if slices.ContainsFunc(c.spec.Mounts, func(m Mount) bool { return below(path, m.Target) }) {
		flags |= unix.MS_NOSUID | unix.MS_NODEV
	}
	return flags
}

// ofKernel reports whether a path is of a file system that the container mounts itself.
func ofKernel(path string) bool { return below(path, "/proc") || below(path, "/sys") }

func below(path, dir string) bool { return strings.HasPrefix(path+"/", dir+"/") }

// onHost is where a path of the container is on the host, if it is there: in what is
// mounted deepest on the way.
func (s *Spec) onHost(path string) (string, bool) {
	var at Mount
	for _, m := range s.Mounts {
		if below(path, m.Target) && len(m.Target) >= len(at.Target) {
			at = m
		}
	}
	switch {
	case at.Type != "" || at.Target == "" && (s.Root.Overlay != nil || s.Dev && below(path, "/dev")):
		return "", false
	case at.Target != "":
		return filepath.Join(at.Source, strings.TrimPrefix(path, at.Target)), true
	}
	return filepath.Join(s.Root.Path, path), true
}

// tryMount passes over a target that is not there.
func (c compiler) tryMount(phase, source, target string, flags uint64, hint string) {
	c.Add(launch.Op{Phase: phase, Object: "on " + target, Call: unix.SYS_MOUNT, Try: unix.ENOENT, Hint: hint},
		launch.String(source), launch.String(target), launch.String(""), launch.Flags(launch.MountFlags, flags), launch.String(""))
}

func isDir(path string) bool { return strings.HasSuffix(path, "/") }
