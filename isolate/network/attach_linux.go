package network

import (
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// Indexes that links get from us, so that a request can name a link that an
// earlier one makes. They start beyond lo and the tunnels that some kernels
// put into every new namespace. A port's index must be free in the container
// too, where its request is made.
const (
	loIndex     = 1 // the kernel's own choice (LOOPBACK_IFINDEX)
	eth0Index   = 1000
	uplinkIndex = 1999
	bridgeIndex = 2000
	portIndex   = 10_000
)

// RouterFD is the descriptor by which the container's requests know the
// router's namespace.
const RouterFD = launch.LentFD

// Attachment is how a container comes onto a bridge: data, made by Net.Attach,
// for one start. Who starts the container again attaches it anew: its port
// stays a while after it.
//
// The port carries nothing until the kernel's link watcher has seen that eth0
// is up (net/core/link_watch.c), some 100 µs later, and later still among many
// that hold the RTNL mutex: what is sent before is lost, and what asks for an
// address (arp(7)) asks again after a second.
type Attachment struct {
	Router   int // descriptor of the router's namespace, until Net.Close; the container has it as RouterFD meanwhile
	Port     string
	Address  netip.Prefix // of eth0
	Gateway  netip.Addr
	Requests []Request // to be sent in the container's network namespace, in order

	net  *Net
	veth veth // what the first request makes
}

// Link does what the first request asks for, from the router's side: a
// container with a user namespace owns its network namespace and has no say
// in the router's, while root of the host has in both. Pid is a process
// of the container's, which sends the other requests itself.
func (a *Attachment) Link(pid int) error {
	pair := a.veth
	pair.namespace, pair.peerPID = 0, pid
	a.net.linking.Lock() // answers come to whoever reads the socket
	defer a.net.linking.Unlock()
	if err := a.net.route.request(nil, newVeth(pair)); err != nil {
		return fmt.Errorf("network link %s: %w; hint: %s", a.Port, err, a.Requests[0].Hint)
	}
	return nil
}

// Request is one netlink request, to be acknowledged.
type Request struct {
	Phase   string // what it is timed as
	Object  string
	Message string
	Try     unix.Errno // answer that does no harm
	Hint    string
}

// attach is container n's attachment; router is the descriptor by which it knows
// the router's namespace.
func (p plan) attach(n, router int) *Attachment {
	a := &Attachment{Port: portName(n), Address: p.container(n), Gateway: p.gateway(p.bridge(n)).Addr()}
	a.veth = veth{
		name: a.Port, index: portIndex + n, namespace: router, master: bridgeIndex + p.bridge(n),
		peer: "eth0", peerIndex: eth0Index,
	}
	const link, address = "network link", "network address"
	a.Requests = []Request{
		{Phase: link, Object: a.Port, Message: string(newVeth(a.veth)), Hint: "CONFIG_VETH; EXFULL is a bridge with 1,023 ports, those of containers just ended included"},
		{Phase: link, Object: "eth0 silent", Message: string(silence(eth0Index)), Try: unix.EAFNOSUPPORT}, // no IPv6 here
		{Phase: address, Object: a.Address.String(), Message: string(newAddress(eth0Index, a.Address, a.Address.Addr()))},
		{Phase: address, Object: "eth0 up", Message: string(linkUp(eth0Index))},
		{Phase: address, Object: "via " + a.Gateway.String(), Message: string(defaultRoute(a.Gateway))},
	}
	return a
}

// portName is unique in the router, which is the run's own; a name of 15
// bytes holds more numbers than there are indexes.
func portName(n int) string { return "port" + strconv.Itoa(n) }
