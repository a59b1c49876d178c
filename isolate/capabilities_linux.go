package isolate

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// Capabilities is a set of CAP_* bits: see capabilities(7).
type Capabilities uint64

// DockerDefault is the set that Docker, containerd and podman leave a
// container (moby, profiles/../oci/caps/defaults.go).
const DockerDefault Capabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FSETID |
	1<<unix.CAP_FOWNER | 1<<unix.CAP_MKNOD | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_SETGID |
	1<<unix.CAP_SETUID | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_KILL | 1<<unix.CAP_AUDIT_WRITE

// dropBounding takes everything but keep out of the bounding set. A bit that
// the kernel does not know is EINVAL, so the loop need not know the last one.
func dropBounding(keep Capabilities) []launch.Op {
	var ops []launch.Op
	for bit := range 64 {
		if keep&(1<<bit) == 0 {
			ops = append(ops, launch.Op{Phase: "drop capabilities", Call: unix.SYS_PRCTL, Try: unix.EINVAL,
				Args: []launch.Arg{launch.Named(launch.PrctlOptions, unix.PR_CAPBSET_DROP), launch.Named(launch.CapNames, bit), launch.Number(0), launch.Number(0), launch.Number(0)}})
		}
	}
	return ops
}

// setCapabilities leaves keep permitted and effective, and nothing
// inheritable or ambient: inheritable sets of containers were CVE-2022-24769.
func setCapabilities(keep Capabilities) []launch.Op {
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = binary.NativeEndian.AppendUint32(header, 0)
	var data []byte
	for _, half := range []uint32{uint32(keep), uint32(keep >> 32)} {
		for _, set := range []uint32{half, half, 0} { // effective, permitted, inheritable
			data = binary.NativeEndian.AppendUint32(data, set)
		}
	}
	return []launch.Op{
		{Phase: "drop capabilities", Call: unix.SYS_PRCTL, Try: unix.EINVAL, // no ambient set before Linux 4.3
			Args: []launch.Arg{launch.Named(launch.PrctlOptions, unix.PR_CAP_AMBIENT), launch.Number(unix.PR_CAP_AMBIENT_CLEAR_ALL), launch.Number(0), launch.Number(0), launch.Number(0)}},
		{Phase: "drop capabilities", Call: unix.SYS_CAPSET, Args: []launch.Arg{launch.Bytes(string(header)), launch.Bytes(string(data))}},
	}
}
