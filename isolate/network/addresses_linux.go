package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// A run has 65,536 addresses, and each of its bridges 1,024 of them: as many
// as leave a port for every address. A bridge has at most 1,023 ports
// (BR_PORT_BITS in net/bridge/br_private.h), and of 1,024 addresses one is the
// network's, one the broadcast's and one the gateway's.
const (
	runBits     = 16
	bridgeBits  = 22
	perBridge   = 1<<(32-bridgeBits) - 3
	mostBridges = 1<<(bridgeBits-runBits) - 1 // the last block holds the uplink's addresses
)

// plan is who has which address.
type plan struct {
	run     netip.Prefix
	bridges int
}

// alone is the run's network where no other is in sight.
var alone = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), runBits)

// choose picks a run's network from 100.64.0.0/10, which is for links that are
// nobody's private network and never on the Internet (RFC 6598): of its 64
// parts the first, from one on, that shares no address with the host's routes.
func choose(taken []netip.Prefix, from int) (netip.Prefix, error) {
	const parts = 64
	for i := range parts {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 + byte((from+i)%parts)}), runBits)
		free := true
		for _, t := range taken {
			if t.Bits() > 0 && t.Overlaps(p) {
				free = false
			}
		}
		if free {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("addresses for the bridge: the host has routes into all 64 parts of 100.64.0.0/10, of which one must be free")
}

// at is the nth address of the run.
func (p plan) at(n int) netip.Addr {
	base := p.run.Addr().As4()
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(base[:])+uint32(n))
	return netip.AddrFrom4(b)
}

// bridge is the one that container n is on. Numbers go on from container to
// container as long as the run lasts; bridges and addresses come round again.
func (p plan) bridge(n int) int { return n / perBridge % p.bridges }

func (p plan) gateway(bridge int) netip.Prefix {
	return netip.PrefixFrom(p.at(bridge<<(32-bridgeBits)+1), bridgeBits)
}

func (p plan) container(n int) netip.Prefix {
	return netip.PrefixFrom(p.at(p.bridge(n)<<(32-bridgeBits)+2+n%perBridge), bridgeBits)
}

// uplink gives the addresses of the router and of the host on the link
// between them.
func (p plan) uplink() (router, host netip.Addr) {
	return p.at(1<<(32-runBits) - 2), p.at(1<<(32-runBits) - 3)
}
