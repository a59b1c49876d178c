package network

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	newOnly = unix.NLM_F_CREATE | unix.NLM_F_EXCL

	vethInfoPeer       = 1  // VETH_INFO_PEER, linux/veth.h
	bridgeSnooping     = 23 // IFLA_BR_MCAST_SNOOPING, linux/if_link.h
	inetConf           = 1  // IFLA_INET_CONF
	inetConfForwarding = 1  // IPV4_DEVCONF_FORWARDING, linux/ip.h
	inet6AddrGenMode   = 8  // IFLA_INET6_ADDR_GEN_MODE
	inet6AddrGenNone   = 1  // IN6_ADDR_GEN_MODE_NONE
)

// linkHeader is struct ifinfomsg; flags are to be set, none is cleared.
func linkHeader(index int, flags uint32) []byte {
	b := make([]byte, 4, unix.SizeofIfInfomsg)
	b = native.AppendUint32(b, uint32(index))
	b = native.AppendUint32(b, flags)
	return native.AppendUint32(b, flags)
}

// veth is a pair of links: see newVeth.
type veth struct {
	name      string
	index     int
	namespace int // descriptor of the namespace of name; 0 is that of the socket
	master    int // bridge that name is put on; 0 is none

	peer          string
	peerIndex     int // 0 lets the kernel choose
	peerNamespace int
	peerPID       int // a process in that namespace, instead
}

// newVeth makes both ends of a pair where they are to stay. The first is up;
// the peer cannot be yet, as it is made first (veth_open answers ENOTCONN to
// an end without its other one). One queue is enough for a container's link,
// and each more costs its files in sysfs.
func newVeth(v veth) message {
	m := newMessage(unix.RTM_NEWLINK, newOnly, linkHeader(v.index, unix.IFF_UP)...)
	end := func(name string, namespace int) {
		m.text(unix.IFLA_IFNAME, name)
		m.number(unix.IFLA_NUM_TX_QUEUES, 1)
		m.number(unix.IFLA_NUM_RX_QUEUES, 1)
		if namespace != 0 {
			m.number(unix.IFLA_NET_NS_FD, namespace)
		}
	}
	end(v.name, v.namespace)
	if v.master != 0 {
		m.number(unix.IFLA_MASTER, v.master)
	}
	m.nest(unix.IFLA_LINKINFO, func() {
		m.text(unix.IFLA_INFO_KIND, "veth")
		m.nest(unix.IFLA_INFO_DATA, func() {
			m.nest(vethInfoPeer, func() {
				m = append(m, linkHeader(v.peerIndex, 0)...)
				end(v.peer, v.peerNamespace)
				if v.peerPID != 0 {
					m.number(unix.IFLA_NET_NS_PID, v.peerPID)
				}
			})
		})
	})
	return m
}

// newBridge makes a bridge, up. It does not snoop on multicast: nobody behind
// it asks for any.
func newBridge(name string, index int) message {
	m := newMessage(unix.RTM_NEWLINK, newOnly, linkHeader(index, unix.IFF_UP)...)
	m.text(unix.IFLA_IFNAME, name)
	m.nest(unix.IFLA_LINKINFO, func() {
		m.text(unix.IFLA_INFO_KIND, "bridge")
		m.nest(unix.IFLA_INFO_DATA, func() { m.attribute(bridgeSnooping, 0) })
	})
	return m
}

func linkUp(index int) message {
	return newMessage(unix.RTM_NEWLINK, 0, linkHeader(index, unix.IFF_UP)...)
}

// forward lets the kernel route what comes in by that link, without the
// sysctl that would do it for all.
func forward(index int) message {
	m := newMessage(unix.RTM_NEWLINK, 0, linkHeader(index, 0)...)
	m.nest(unix.IFLA_AF_SPEC, func() {
		m.nest(unix.AF_INET, func() {
			m.nest(inetConf, func() { m.number(inetConfForwarding, 1) })
		})
	})
	return m
}

// silence keeps a link from giving itself an IPv6 address: the solicitations
// of each container that starts would go to every port of the bridge.
func silence(index int) message {
	m := newMessage(unix.RTM_NEWLINK, 0, linkHeader(index, 0)...)
	m.nest(unix.IFLA_AF_SPEC, func() {
		m.nest(unix.AF_INET6, func() { m.attribute(inet6AddrGenMode, inet6AddrGenNone) })
	})
	return m
}

// newAddress gives a link an address. The peer is the other end of a link of
// two; elsewhere it is the address itself.
func newAddress(index int, local netip.Prefix, peer netip.Addr) message {
	header := []byte{unix.AF_INET, byte(local.Bits()), 0, 0}
	m := newMessage(unix.RTM_NEWADDR, newOnly, native.AppendUint32(header, uint32(index))...)
	m.address(unix.IFA_LOCAL, local.Addr())
	m.address(unix.IFA_ADDRESS, peer)
	return m
}

// defaultRoute sends all else to the gateway.
func defaultRoute(gateway netip.Addr) message {
	m := newMessage(unix.RTM_NEWROUTE, newOnly, unix.AF_INET, 0, 0, 0,
		unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0) // struct rtmsg
	m.address(unix.RTA_GATEWAY, gateway)
	return m
}
