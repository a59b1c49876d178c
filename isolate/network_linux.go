package isolate

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
)

// loopbackUp sets IFF_UP on lo with the one ioctl that needs no netlink
// (netdevice(7)).
func (c compiler) loopbackUp() {
	const phase = "loopback up"
	var request [40]byte // struct ifreq
	copy(request[:], "lo")
	binary.NativeEndian.PutUint16(request[16:], unix.IFF_UP)
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_SOCKET, Keep: true, Hint: "CONFIG_INET"},
		launch.Number(unix.AF_INET), launch.Number(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), launch.Number(0))
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_IOCTL}, launch.Kept, launch.Number(unix.SIOCSIFFLAGS), launch.Bytes(string(request[:])))
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_CLOSE}, launch.Kept)
}

// network sends the requests that put the container on its bridge, one by one:
// each is answered before sendto returns.
func (c compiler) network(requests []network.Request) {
	const phase = "network link"
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_SOCKET, Keep: true},
		launch.Number(unix.AF_NETLINK), launch.Number(unix.SOCK_RAW|unix.SOCK_CLOEXEC), launch.Number(unix.NETLINK_ROUTE))
	for _, r := range requests {
		c.Add(launch.Op{Phase: r.Phase, Object: r.Object, Call: unix.SYS_SENDTO, Want: len(r.Message)},
			launch.Kept, launch.Bytes(r.Message), launch.Number(len(r.Message)), launch.Number(0), launch.Number(0), launch.Number(0))
		c.Add(launch.Op{Phase: r.Phase, Object: r.Object, Call: unix.SYS_RECVFROM, Ack: true, Try: r.Try, Hint: r.Hint},
			launch.Kept, launch.Bytes(ackRoom), launch.Number(len(ackRoom)), launch.Number(unix.MSG_DONTWAIT), launch.Number(0), launch.Number(0))
	}
	c.Add(launch.Op{Phase: "network address", Call: unix.SYS_CLOSE}, launch.Kept)
}

// ackRoom holds an acknowledgement: struct nlmsghdr and struct nlmsgerr.
var ackRoom = strings.Repeat("\x00", unix.SizeofNlMsghdr+unix.SizeofNlMsgerr)
