package hostcheck

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/probe"
)

func networkChecks() []Check {
	return []Check{
		{ID: "net.veth", Group: "network", Title: "veth pairs", Why: "a container's cable to the host", Needs: need("RrRR-rr"),
			Options: []string{"VETH"}, Fix: "modprobe veth", probe: link("veth")},
		{ID: "net.bridge", Group: "network", Title: "bridges", Why: "the default network of every engine", Needs: need("RrRR-ro"),
			Options: []string{"BRIDGE"}, Fix: "modprobe bridge", probe: link("bridge")},
		{ID: "net.vxlan", Group: "network", Title: "VXLAN", Why: "overlay networks between hosts: swarm, flannel, Calico", Needs: need("o-ro---"),
			Options: []string{"VXLAN"}, Fix: "modprobe vxlan  # Ubuntu on a Raspberry Pi: apt-get install linux-modules-extra-raspi", probe: link("vxlan")},
		{ID: "net.macvlan", Group: "network", Title: "macvlan", Why: "containers with an address of the outer network", Needs: need("ooooooo"),
			Options: []string{"MACVLAN"}, Fix: "modprobe macvlan", probe: link("macvlan")},
		{ID: "net.ipvlan", Group: "network", Title: "ipvlan", Why: "the same where a port allows one MAC address", Needs: need("ooooooo"),
			Options: []string{"IPVLAN"}, Fix: "modprobe ipvlan", probe: link("ipvlan")},
		{ID: "net.dummy", Group: "network", Title: "dummy interfaces", Why: "kube-proxy's IPVS mode, node-local DNS", Needs: need("o-oo--o"),
			Options: []string{"DUMMY"}, Fix: "modprobe dummy", probe: link("dummy")},
		{ID: "net.ifb", Group: "network", Title: "ifb", Why: "limiting what a container receives", Needs: need("o-o-o-o"),
			Options: []string{"IFB"}, Fix: "modprobe ifb", probe: link("ifb")},
		{ID: "net.wireguard", Group: "network", Title: "WireGuard", Why: "encrypted pod networks", Needs: need("--o----"),
			Options: []string{"WIREGUARD"}, Fix: "modprobe wireguard", probe: link("wireguard")},
		{ID: "net.tun", Group: "network", Title: "tun and tap", Why: "rootless networks (pasta, slirp4netns), VPNs", Needs: need("oooorro"),
			Options: []string{"TUN"}, Fix: "modprobe tun", probe: tunDevice},
		{ID: "net.forward", Group: "network", Title: "IPv4 is forwarded", Why: "packets pass from containers to the outside; engines switch it on", Needs: need("roRr-r-"),
			Fix: "sysctl -w net.ipv4.ip_forward=1; echo net.ipv4.ip_forward=1 > /etc/sysctl.d/60-forward.conf", probe: forwarding},
		{ID: "net.ipv6", Group: "network", Title: "IPv6", Why: "dual-stack networks", Needs: need("ooooooo"),
			Options: []string{"IPV6"}, probe: ipv6},
		{ID: "nf.filter", Group: "network", Title: "packet filter and NAT", Why: "published ports and masquerading, by any of legacy iptables, iptables-nft or nft", Needs: need("RrRR-ro"),
			Options: []string{"NETFILTER", "NF_TABLES", "NF_NAT", "NF_CONNTRACK"}, Fix: "modprobe nf_tables nft_chain_nat", probe: packetFilter},
		{ID: "nf.tool", Group: "network", Title: "a tool for the packet filter", Why: "Docker and kube-proxy start iptables or nft", Needs: need("RoRo-r-"),
			Fix: "apt-get install iptables nftables", probe: filterTool},
		{ID: "nf.bridge", Group: "network", Title: "rules see bridged packets", Why: "services and policies between pods on one bridge (br_netfilter)", Needs: need("ooroo--"),
			Options: []string{"BRIDGE_NETFILTER"}, Fix: "modprobe br_netfilter; echo br_netfilter > /etc/modules-load.d/br_netfilter.conf; sysctl -w net.bridge.bridge-nf-call-iptables=1", probe: bridgeFilter},
	}
}

func link(kind string) func(*host) Outcome {
	need := linkOptions[kind]
	return func(h *host) Outcome {
		if o, ok := h.ready(need[0], need[1]); !ok {
			return o
		}
		n := h.network()
		if n.Namespace != nil {
			return h.fromErrno("unshare(CLONE_NEWNET)", n.Namespace, "")
		}
		err, asked := n.Links[kind]
		if !asked {
			return cannotTell("needs a veth pair to stand on, which was not made").withFix("run with --load")
		}
		name := "rtnetlink(RTM_NEWLINK, " + kind + ")"
		if errors.Is(err, unix.EOPNOTSUPP) {
			return no("the kernel has none", call(name, err))
		}
		return h.fromErrno(name, err, "made in a scratch network namespace")
	}
}

func tunDevice(h *host) Outcome {
	if !strings.Contains(h.text("/proc/misc"), "tun") {
		if o, ok := h.ready("TUN", "tun"); !ok {
			return o
		}
	}
	if !h.exists("/dev/net/tun") {
		return no("/dev/net/tun is not there", file("/dev/net/tun", "")).withFix("modprobe tun; mkdir -p /dev/net; mknod -m 666 /dev/net/tun c 10 200")
	}
	return h.fromErrno("ioctl(/dev/net/tun, TUNGETFEATURES)", probe.Tun(), "")
}

func forwarding(h *host) Outcome {
	const path = "/proc/sys/net/ipv4/ip_forward"
	switch v := h.text(path); v {
	case "1":
		return yes("", file(path, v))
	case "":
		return cannotTell("IPv4 is not there, or /proc/sys is hidden", file(path, ""))
	default:
		return no("it is off", file(path, v))
	}
}

func ipv6(h *host) Outcome {
	const path = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
	switch v := h.text(path); v {
	case "0":
		return yes("", file(path, v))
	case "1":
		return no("switched off", file(path, v)).withFix("sysctl -w net.ipv6.conf.all.disable_ipv6=0")
	}
	return no("the kernel has none, or was booted with ipv6.disable=1", file("/proc/sys/net/ipv6", "")).withFix("remove ipv6.disable=1 from the kernel's command line")
}

// packetFilter passes if one way of several works.
func packetFilter(h *host) Outcome {
	n := h.network()
	if n.Namespace != nil {
		return h.fromErrno("unshare(CLONE_NEWNET)", n.Namespace, "")
	}
	var evidence []Evidence
	var works, later []string
	refused := error(nil)
	note := func(way, name string, err error) {
		switch {
		case err == nil:
			works = append(works, way)
		case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
			refused = err
		}
		evidence = append(evidence, call(name, err))
	}
	if errors.Is(n.Nft, probe.ErrNotAsked) {
		// Both parts must be there; one of them would have to be loaded.
		table, tableReady := h.ready("NF_TABLES", "nf_tables")
		nat, natReady := h.ready("NFT_NAT", "nft_chain_nat")
		if (tableReady || table.Answer == Yes) && (natReady || nat.Answer == Yes) {
			later = append(later, "nft")
		}
		evidence = append(evidence, append(table.Evidence, nat.Evidence...)...)
	} else {
		note("nft", "nfnetlink(NFT_MSG_NEWCHAIN, type nat)", cmpErr(n.Nft, n.NftNAT))
	}
	if len(n.IPTables) == 0 {
		o, _ := h.ready("IP_NF_NAT", "iptable_nat")
		if o.Answer == Yes {
			later = append(later, "legacy iptables")
		}
		evidence = append(evidence, o.Evidence...)
	} else {
		note("legacy iptables", "getsockopt(IPT_SO_GET_INFO, filter and nat)", cmpErr(n.IPTables["filter"], n.IPTables["nat"]))
	}
	switch {
	case len(works) > 0:
		return yes("by "+strings.Join(works, " and by "), evidence...)
	case len(later) > 0:
		return yes("by "+strings.Join(later, " or by ")+", available, not loaded", evidence...)
	case refused != nil:
		return cannotTell(h.refusal(), evidence...).withFix(h.howToKnow())
	}
	return no("none of legacy iptables, iptables-nft and nft works", evidence...)
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// filterTool looks at which iptables is installed: it is a link to one of two
// programs that keep different tables.
func filterTool(h *host) Outcome {
	path := findTool(h.tree, "iptables")
	if path == "" {
		if nft := findTool(h.tree, "nft"); nft != "" {
			return partly("nft without iptables: enough for nftables modes (Docker 29, kube-proxy 1.31)", file(nft, "there"))
		}
		return no("neither iptables nor nft is installed", file("/usr/sbin/iptables", ""))
	}
	target := path
	for range 8 { // Debian's goes through /etc/alternatives
		next, err := os.Readlink(target)
		if err != nil {
			break
		}
		if !strings.HasPrefix(next, "/") {
			next = target[:strings.LastIndexByte(target, '/')+1] + next
		}
		target = next
	}
	n := h.network()
	legacy := strings.Contains(target, "legacy")
	ev := file(path, target)
	if legacy && len(n.IPTables) > 0 && n.IPTables["nat"] != nil && n.Nft == nil {
		return no("iptables is the legacy program, and this kernel has nf_tables only", ev, call("getsockopt(IPT_SO_GET_INFO, nat)", n.IPTables["nat"])).
			withFix("update-alternatives --set iptables /usr/sbin/iptables-nft")
	}
	if !legacy && n.Nft != nil && !errors.Is(n.Nft, probe.ErrNotAsked) && len(n.IPTables) > 0 && n.IPTables["nat"] == nil {
		return no("iptables is the nft program, and this kernel has legacy tables only", ev, call("nfnetlink(NFT_MSG_NEWCHAIN)", n.Nft)).
			withFix("update-alternatives --set iptables /usr/sbin/iptables-legacy")
	}
	return yes(fmt.Sprintf("%s (%s)", path, map[bool]string{true: "legacy", false: "nft or unmarked"}[legacy]), ev)
}

func bridgeFilter(h *host) Outcome {
	const path = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if v := h.text(path); v != "" {
		if v == "1" {
			return yes("", file(path, v))
		}
		return partly("loaded, and switched off", file(path, v)).withFix("sysctl -w net.bridge.bridge-nf-call-iptables=1")
	}
	if o, ok := h.ready("BRIDGE_NETFILTER", "br_netfilter"); !ok {
		return o
	}
	return no("br_netfilter is not there", file(path, ""))
}
