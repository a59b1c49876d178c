// Package network joins containers by a bridge, and to the outside by
// masquerading, made by netlink requests (rtnetlink(7)) and nothing else: no
// ip, no iptables, no configuration of the host's.
//
//	net, err := network.Open(network.Options{NAT: true})  // once in a run
//	spec.Network, err = net.Attach()                      // for each container
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
// # What the kernel waits for
//
// Of those requests none sleeps but for one lock. Measured on Linux 6.18, they
// take 0.8 to 0.9 ms: 0.6 make the pair and put its port on the bridge, 0.15
// are for the address and bringing eth0 up, the rest for the route. It is
// processor time, and most of it goes to names: some 150 sysctl files and
// 80 files in sysfs for the two ends (__register_sysctl_table alone is a
// quarter of all), which is why the ends have one queue, not one for each
// processor.
//
// A fleet that starts together waits for the RTNL mutex: a change of any link,
// address or route takes it, in whatever namespace
// (Documentation/networking/netdevices.rst), and so does the making of a
// network namespace, bridge or not (setup_net registers lo and its notifiers).
// So a fleet gains as much as a start does outside it. A container that ends
// meanwhile slows the others down: its namespace is taken apart by one kernel
// worker (cleanup_net), with the mutex held.
package network
