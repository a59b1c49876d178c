// Package network joins containers by a bridge, and to the outside by
// masquerading, made by netlink requests (rtnetlink(7)) and nothing else: no
// ip, no iptables, no configuration of the host's.
//
//	net, err := network.Open(network.Options{NAT: true}) // once in a run
//	spec.Network = net.Attach()                          // for each container
//	err = net.Close()
//
// Everything is in a network namespace of the run's own, the router: the
// bridges, their addresses, the rule that masquerades. It has no name and no
// process: a descriptor holds it, so that it ends with the process that opened
// it, however that ends, and takes its links along. With NAT, one link stands
// in the host's namespace (plimsollN, an end of the router's uplink), and it
// ends with the router too.
//
// # One container
//
// A container's link is a veth pair (veth(4)), made by the container itself
// before it drops its privileges: one request makes both ends where they are
// to stay, the port in the router and on its bridge, eth0 in the container.
// Moving an end from one namespace to another, as ip link set netns does,
// would wait for a grace period of RCU (synchronize_net in
// __dev_change_net_namespace), and so would deleting one: nobody moves or
// deletes here. A link dies with the container's namespace, a moment after the
// container. The requests are complete beforehand: both ends have indexes that
// we choose, which nobody has to look up.
//
// A runtime that makes no links joins a namespace that was made for it, with
// the same requests:
//
//	file, err := net.Namespace() // its path is /proc/PID/fd/FD
//
// # What the kernel waits for
//
// None of a container's requests sleeps, but for one lock. Alone they take 0.7
// to 0.9 ms (Linux 6.18): 0.6 for the pair and its port on the bridge, 0.15 for
// the address and bringing eth0 up, the rest for the route. That is processor
// time, and most of it is for names: each end gets some 130 files below
// /proc/sys/net and, with one queue, 66 in sysfs.
//
// The lock is the RTNL mutex: who changes a link, an address or a route takes
// it, in whatever namespace (Documentation/networking/netdevices.rst), and so
// does who makes a network namespace, bridge or not. A start without a bridge
// waits for other things, first of all for the grace period of RCU in which the
// old root is unmounted (synchronize_rcu_expedited, in namespace_unlock). That
// wait is another container's time: 100 bridged containers started one after
// another in 750 ms, two at a time in 500 to 570, four in 330 to 460 and all at
// once in 370 to 440, on two processors. All at once, two thirds of those seen
// asleep waited for the mutex: in rtnl_newlink, inet_rtm_newroute, devinet_ioctl
// (bringing lo up). Four at once, it is a tenth.
//
// A container that ends slows down those that start: its namespace is taken
// apart by a worker of the kernel's (cleanup_net) that holds the mutex.
package network
