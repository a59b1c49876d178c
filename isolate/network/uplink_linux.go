package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// makeUplink joins the router to the host's namespace and lets it masquerade
// as its own end of that link, so that the host sees one neighbour and no
// route to a container. What lies beyond the host is reached if the host
// forwards already (net.ipv4.ip_forward), and then by a rule in the host's
// namespace that masquerades once more; it ends with the socket that made it.
// That sysctl is the host's own and never written, nor is its firewall, which
// may drop what we forward.
func (n *Net) makeUplink() error {
	host, err := openSocket(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer host.Close()
	home, err := os.Open(threadNamespace)
	if err != nil {
		return fmt.Errorf("network namespace of the host: %w", err)
	}
	defer home.Close()
	taken, err := host.routes()
	if err != nil {
		return fmt.Errorf("read the host's routes: %w", err)
	}
	// Runs that begin together are not to choose the same.
	if n.plan.run, err = choose(taken, os.Getpid()); err != nil {
		return err
	}
	ours, theirs := n.plan.uplink()
	pair := veth{name: "uplink", index: uplinkIndex, peer: hostLink, peerNamespace: int(home.Fd())}
	if err := n.route.request(nil, newVeth(pair)); err != nil {
		return fmt.Errorf("make the uplink: %w (hint: CONFIG_VETH)", err)
	}
	hostIndex, err := n.route.otherEnd(uplinkIndex)
	if err != nil {
		return fmt.Errorf("find the host's end of the uplink: %w", err)
	}
	if err := host.request(nil, newAddress(hostIndex, netip.PrefixFrom(theirs, 32), ours), linkUp(hostIndex)); err != nil {
		return fmt.Errorf("give the host's end of the uplink the address %s: %w", theirs, err)
	}
	if err := n.route.request(nil, newAddress(uplinkIndex, netip.PrefixFrom(ours, 32), theirs), forward(uplinkIndex), defaultRoute(theirs)); err != nil {
		return fmt.Errorf("give the router's end of the uplink the address %s: %w", ours, err)
	}
	if err := n.filter.request(nil, masquerade("nat", 0, leavesBy(uplinkIndex))...); err != nil {
		return fmt.Errorf("masquerade in the router: %w (hint: %s)", err, nftNeeds)
	}
	n.beyond, err = n.forwardByHost(hostIndex, ours)
	return err
}

const (
	hostLink = "plimsoll%d" // the kernel puts the first number that is free
	nftNeeds = "CONFIG_NF_TABLES, CONFIG_NF_TABLES_IPV4, CONFIG_NFT_NAT, CONFIG_NFT_MASQ; a kernel with iptables alone cannot do this"
)

// forwardByHost masquerades what the router sends beyond the host, or says
// why it does not. The table is named after the index of our link there, which
// no other run has.
func (n *Net) forwardByHost(index int, router netip.Addr) (beyond, err error) {
	const sysctl = "/proc/sys/net/ipv4/ip_forward"
	forwards, err := os.ReadFile(sysctl)
	if err != nil {
		return nil, fmt.Errorf("does the host forward? %w", err)
	}
	if strings.TrimSpace(string(forwards)) == "0" {
		return errors.New("the host does not forward (sysctl net.ipv4.ip_forward is 0, and is the operator's to set)"), nil
	}
	if n.table, err = openSocket(unix.NETLINK_NETFILTER); err != nil {
		return nil, err
	}
	err = n.table.request(nil, masquerade("plimsoll"+strconv.Itoa(index), nftOwner, comesFrom(router.As4()))...)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("masquerade on the host: %w (a table that ends with its owner came with Linux 5.12, and no other is made)", err), nil
	}
	if err != nil {
		return nil, fmt.Errorf("masquerade on the host: %w (hint: %s)", err, nftNeeds)
	}
	return nil, nil
}

// routes lists the IPv4 destinations that the socket's namespace has routes
// to, its own addresses among them.
func (s socket) routes() ([]netip.Prefix, error) {
	var list []netip.Prefix
	err := s.request(func(kind int, body []byte) {
		if kind == unix.RTM_NEWROUTE && len(body) >= unix.SizeofRtMsg {
			attributes(body[unix.SizeofRtMsg:], func(kind int, data []byte) {
				if a, ok := netip.AddrFromSlice(data); ok && kind == unix.RTA_DST {
					if p := netip.PrefixFrom(a, int(body[1])); p.IsValid() {
						list = append(list, p)
					}
				}
			})
		}
	}, newMessage(unix.RTM_GETROUTE, unix.NLM_F_DUMP, unix.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	return list, err
}

// otherEnd is the index that the peer of a veth link has, where that is.
func (s socket) otherEnd(index int) (peer int, err error) {
	err = s.request(func(kind int, body []byte) {
		if kind == unix.RTM_NEWLINK && len(body) >= unix.SizeofIfInfomsg {
			attributes(body[unix.SizeofIfInfomsg:], func(kind int, data []byte) {
				if kind == unix.IFLA_LINK && len(data) == 4 {
					peer = int(native.Uint32(data))
				}
			})
		}
	}, newMessage(unix.RTM_GETLINK, 0, linkHeader(index, 0)...))
	if err == nil && peer == 0 {
		err = errors.New("the kernel does not tell its index")
	}
	return peer, err
}
