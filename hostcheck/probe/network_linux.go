package probe

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// Links are the kinds of network interface that [Network] makes, in order:
// macvlan and ipvlan stand on the two ends of the veth pair.
var Links = []string{"veth", "bridge", "vxlan", "macvlan", "ipvlan", "dummy", "ifb", "wireguard"}

const vethIndex, peerIndex = 101, 102

// Net is what a scratch network namespace could be given.
type Net struct {
	Namespace error            // making it
	Links     map[string]error // by kind, of those asked for
	Nft       error            // an nftables table with a base chain
	NftNAT    error            // a chain of type nat in it
	IPTables  map[string]error // legacy tables "filter" and "nat"
}

// Wanted says what [Network] may try: what would make the kernel load a
// module is left out by the caller.
type Wanted struct {
	Links    map[string]bool
	Nft      bool
	IPTables bool
}

// ErrNotAsked is the answer to what was left out.
var ErrNotAsked = errors.New("not tried, for it would load a module")

// Network makes a network namespace and, in it, what is wanted. It dies with
// the child; the host's network is not touched.
func Network(privileged bool, w Wanted) Net {
	var s script
	if !privileged {
		s.becomeRoot()
	}
	ns := s.call(unix.SYS_UNSHARE, unix.CLONE_NEWNET).orStop()
	links := s.links(w.Links)
	var nft, nat *exchange
	if w.Nft {
		sock := s.netlink(unix.NETLINK_NETFILTER)
		nft = s.exchange(sock, nftBatch(nftTable(), nftChain("filter", "filter", unix.NF_INET_LOCAL_IN)))
		nat = s.exchange(sock, nftBatch(nftTable(), nftChain("nat", "nat", unix.NF_INET_POST_ROUTING)))
	}
	tables := map[string]*step{}
	if w.IPTables {
		for _, name := range []string{"filter", "nat"} {
			tables[name] = s.ipTable(name)
		}
	}
	run := s.run()
	n := Net{Namespace: s.blame(run, ns), Links: map[string]error{}, IPTables: map[string]error{},
		Nft: ErrNotAsked, NftNAT: ErrNotAsked}
	for kind, e := range links {
		n.Links[kind] = e.answer()
	}
	if nft != nil {
		n.Nft, n.NftNAT = nft.answer(), nat.answer()
	}
	for name, st := range tables {
		n.IPTables[name] = st.err()
	}
	return n
}

// ipTable asks for the size of a legacy table, as iptables-legacy does first:
// getsockopt(IPT_SO_GET_INFO) (include/uapi/linux/netfilter_ipv4/ip_tables.h).
func (s *script) ipTable(name string) *step {
	const getInfo, infoSize = 64, 84
	sock := s.call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	info := make([]byte, infoSize)
	copy(info, name)
	size := binary.NativeEndian.AppendUint32(nil, infoSize)
	return s.with(sock, unix.SYS_GETSOCKOPT, unix.IPPROTO_IP, getInfo, s.ptr(info), s.ptr(size))
}

// exchange is a netlink request and its answer.
type exchange struct {
	send, receive *step
	buf           []byte
}

func (s *script) netlink(protocol uintptr) *step {
	return s.call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
}

// exchange sends a request, which the kernel handles before send returns, and
// takes the answer.
func (s *script) exchange(sock *step, request []byte) *exchange {
	e := &exchange{buf: make([]byte, 1024)}
	e.send = s.with(sock, unix.SYS_SENDTO, s.ptr(request), uintptr(len(request)), 0, 0, 0)
	e.receive = s.with(sock, unix.SYS_RECVFROM, s.ptr(e.buf), uintptr(len(e.buf)), unix.MSG_DONTWAIT, 0, 0)
	return e
}

// answer is the first error in the kernel's acknowledgements: NLMSG_ERROR
// with 0 is success (netlink(7)). A batch of nftables may give several, each
// in a datagram of its own, of which the first tells.
func (e *exchange) answer() error {
	if err := e.send.err(); err != nil {
		return err
	}
	if err := e.receive.err(); err != nil {
		return err
	}
	return netlinkError(e.buf[:e.receive.ret])
}

func netlinkError(answer []byte) error {
	if len(answer) < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return unix.EPROTO
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

// message frames a netlink request that wants an answer.
func message(kind, flags uint16, body []byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|flags)
	m = binary.NativeEndian.AppendUint32(m, 1) // sequence
	m = binary.NativeEndian.AppendUint32(m, 0) // port: the kernel's
	return append(m, body...)
}

// attr is one attribute: length, type, value, padding to four bytes.
func attr(kind uint16, value []byte) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	a = binary.NativeEndian.AppendUint16(a, kind)
	a = append(a, value...)
	for len(a)%4 != 0 {
		a = append(a, 0)
	}
	return a
}

func u32(v uint32) []byte  { return binary.NativeEndian.AppendUint32(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func zstr(s string) []byte { return append([]byte(s), 0) }

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// links adds the making of every kind that is wanted.
func (s *script) links(wanted map[string]bool) map[string]*exchange {
	sock := s.netlink(unix.NETLINK_ROUTE)
	made := map[string]*exchange{}
	for _, kind := range Links {
		if wanted[kind] {
			made[kind] = s.exchange(sock, newLink(kind))
		}
	}
	return made
}

// newLink is the request to make an interface (rtnetlink(7)).
func newLink(kind string) []byte {
	const vethPeer, vxlanID, macvlanMode, ipvlanMode = 1, 1, 1, 1 // in the kind's own IFLA_INFO_DATA
	index, parent, data := uint32(0), uint32(0), []byte(nil)
	switch kind {
	case "veth":
		index = vethIndex
		data = attr(vethPeer, join(linkHeader(peerIndex), attr(unix.IFLA_IFNAME, zstr("probe-peer"))))
	case "vxlan":
		data = attr(vxlanID, u32(42))
	case "macvlan":
		parent, data = vethIndex, attr(macvlanMode, u32(4)) // MACVLAN_MODE_BRIDGE
	case "ipvlan":
		parent = peerIndex
		data = attr(ipvlanMode, binary.NativeEndian.AppendUint16(nil, 0)) // IPVLAN_MODE_L2
	}
	info := attr(unix.IFLA_INFO_KIND, zstr(kind))
	if data != nil {
		info = append(info, attr(unix.IFLA_INFO_DATA, data)...)
	}
	body := join(linkHeader(index), attr(unix.IFLA_IFNAME, zstr("probe-"+kind)))
	if parent != 0 {
		body = append(body, attr(unix.IFLA_LINK, u32(parent))...)
	}
	body = append(body, attr(unix.IFLA_LINKINFO, info)...)
	return message(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, body)
}

// linkHeader is struct ifinfomsg.
func linkHeader(index uint32) []byte {
	h := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(h[4:], index)
	return h
}

// nftables requests come in batches that are carried out whole or not at all
// (nfnetlink.h); ours are, and go with the namespace.

func nftBatch(messages ...[]byte) []byte {
	mark := func(kind uint16) []byte {
		return message(kind, 0, []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES})
	}
	return join(mark(unix.NFNL_MSG_BATCH_BEGIN), join(messages...), mark(unix.NFNL_MSG_BATCH_END))
}

func nftMessage(kind, flags uint16, attrs []byte) []byte {
	header := []byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}
	return message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NLM_F_CREATE|flags, append(header, attrs...))
}

func nftTable() []byte {
	return nftMessage(unix.NFT_MSG_NEWTABLE, 0, attr(unix.NFTA_TABLE_NAME, zstr("probe")))
}

// nftChain is acknowledged: a batch's errors name the message that failed.
func nftChain(name, kind string, hook uint32) []byte {
	return nftMessage(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_ACK, join(
		attr(unix.NFTA_CHAIN_TABLE, zstr("probe")),
		attr(unix.NFTA_CHAIN_NAME, zstr(name)),
		attr(unix.NFTA_CHAIN_HOOK|unix.NLA_F_NESTED, join(
			attr(unix.NFTA_HOOK_HOOKNUM, be32(hook)), attr(unix.NFTA_HOOK_PRIORITY, be32(100)))),
		attr(unix.NFTA_CHAIN_TYPE, zstr(kind))))
}
