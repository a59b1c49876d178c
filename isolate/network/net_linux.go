package network

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Options say what network a run is to have.
type Options struct {
	// Containers is how many there may be at once; 0 is 1,000. A bridge is for
	// 1,021 of them, those of consecutive numbers, and the router routes
	// between bridges.
	Containers int

	// NAT lets containers reach the host and, if it forwards, what it can
	// reach: see Net.Beyond.
	NAT bool
}

// Net is the network of one run. It may be used by several goroutines at once.
type Net struct {
	plan    plan
	next    atomic.Int64
	router  *os.File   // the namespace
	route   socket     // rtnetlink, in the router
	linking sync.Mutex // of route, once the network is open
	filter  socket     // nf_tables, in the router
	table   socket     // owner of the host's rule, when there is one
	beyond  error
}

// Open makes a run's network. The calling thread's network namespace is the
// host's.
func Open(o Options) (_ *Net, err error) {
	n := &Net{plan: plan{run: alone}, route: socket{-1}, filter: socket{-1}, table: socket{-1}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("network of the run: %w", err), n.Close())
		}
	}()
	if o.Containers == 0 {
		o.Containers = 1000
	}
	// One bridge more than they need: the ports of containers that have ended
	// stay a while, and those that come next are to find room.
	n.plan.bridges = (o.Containers+perBridge-1)/perBridge + 1
	if n.plan.bridges > mostBridges {
		return nil, fmt.Errorf("%d containers: at most %d have an address", o.Containers, (mostBridges-1)*perBridge)
	}
	if err := n.makeRouter(o.NAT); err != nil {
		return nil, err
	}
	if o.NAT {
		if err := n.makeUplink(); err != nil {
			return nil, err
		}
	}
	for b := range n.plan.bridges {
		gateway := n.plan.gateway(b)
		if err := n.route.request(nil,
			newBridge(fmt.Sprintf("bridge%d", b), bridgeIndex+b),
			newAddress(bridgeIndex+b, gateway, gateway.Addr()),
			forward(bridgeIndex+b)); err != nil {
			return nil, fmt.Errorf("make bridge %d, with address %s: %w (hint: CONFIG_BRIDGE)", b, gateway, err)
		}
	}
	return n, nil
}

// Close lets the network go; containers are to have ended by then, and those
// that have not lose their link.
func (n *Net) Close() error {
	errs := []error{n.table.Close(), n.filter.Close(), n.route.Close()}
	if n.router != nil {
		errs = append(errs, n.router.Close())
	}
	return errors.Join(errs...)
}

// Attach gives the next container its link and address.
func (n *Net) Attach() *Attachment {
	a := n.plan.attach(int(n.next.Add(1)-1), RouterFD)
	a.Router, a.net = int(n.router.Fd()), n
	return a
}

// Beyond says why containers behind NAT reach the host and nothing beyond it,
// or nil if they do.
func (n *Net) Beyond() error { return n.beyond }

// makeRouter makes the router's namespace, and keeps descriptors of it and of
// sockets in it.
func (n *Net) makeRouter(nat bool) error {
	return inNewNamespace(func() (err error) {
		// Ports need no IPv6 addresses, nor to solicit for them. Where /proc/sys
		// cannot be written, each costs a few packets.
		os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		if n.router, err = os.Open(threadNamespace); err != nil {
			return fmt.Errorf("network namespace of the router: %w", err)
		}
		if n.route, err = openSocket(unix.NETLINK_ROUTE); err != nil || !nat {
			return err
		}
		if n.filter, err = openSocket(unix.NETLINK_NETFILTER); err != nil {
			return fmt.Errorf("masquerade: %w (hint: %s)", err, nftNeeds)
		}
		return nil
	})
}
