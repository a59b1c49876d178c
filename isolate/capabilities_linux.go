package isolate

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// Capabilities is a set of CAP_* bits: see capabilities(7).
type Capabilities uint64

// DockerDefault is the set that Docker, containerd and podman leave a
// container (moby, daemon/pkg/oci/caps/defaults.go).
const DockerDefault Capabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FSETID |
	1<<unix.CAP_FOWNER | 1<<unix.CAP_MKNOD | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_SETGID |
	1<<unix.CAP_SETUID | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_SYS_CHROOT | 1<<unix.CAP_KILL | 1<<unix.CAP_AUDIT_WRITE

// lastCapability leaves room for those that later kernels add: a bit that
// this one does not know is EINVAL.
const lastCapability = unix.CAP_LAST_CAP + 8

// dropBounding takes everything but keep out of the bounding set.
func (c compiler) dropBounding(keep Capabilities) {
	for bit := range lastCapability + 1 {
		if keep&(1<<bit) == 0 {
			c.prctl("drop capabilities", unix.PR_CAPBSET_DROP, launch.Named(launch.CapNames, bit), unix.EINVAL)
		}
	}
}

// setCapabilities leaves keep permitted and effective, and nothing
// inheritable or ambient: inheritable sets of containers were CVE-2022-24769.
func (c compiler) setCapabilities(keep Capabilities) {
	const phase = "drop capabilities"
	header := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	header = binary.NativeEndian.AppendUint32(header, 0)
	var data []byte
	for _, half := range []uint32{uint32(keep), uint32(keep >> 32)} {
		for _, set := range []uint32{half, half, 0} { // effective, permitted, inheritable
			data = binary.NativeEndian.AppendUint32(data, set)
		}
	}
	c.prctl(phase, unix.PR_CAP_AMBIENT, launch.Number(unix.PR_CAP_AMBIENT_CLEAR_ALL), unix.EINVAL) // none before Linux 4.3
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_CAPSET, Hint: "a capability that the harness itself lacks cannot be kept: see CapPrm in /proc/self/status"}, launch.Bytes(string(header)), launch.Bytes(string(data)))
}
