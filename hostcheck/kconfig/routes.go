package kconfig

import (
	"slices"
	"strings"
)

// Route is one way for a container's packets to be filtered and translated.
// A host needs one of them, not all: a kernel without legacy iptables is not
// broken, it uses nftables.
type Route struct {
	Name    string   `json:"name"`
	Needs   []string `json:"needs"`             // options, of which "A|B" is satisfied by either
	Lacking []string `json:"lacking,omitempty"` // those of them that are off
}

// Complete reports whether nothing is lacking.
func (r Route) Complete() bool { return len(r.Lacking) == 0 }

func (r Route) needs(name string) bool {
	return slices.ContainsFunc(r.Needs, func(n string) bool {
		return n == name || strings.Contains(n, "|") && slices.Contains(names(n), name)
	})
}

func names(either string) []string { return strings.Split(either, "|") }

// routes: legacy iptables keeps tables of its own, which since Linux 6.17
// depend on NETFILTER_XTABLES_LEGACY; iptables-nft keeps them in nf_tables
// and uses xtables' matches through NFT_COMPAT (iptables-nft(8)); nft uses
// neither (Docker 29's nftables backend, kube-proxy's nftables mode).
var routes = []Route{
	{Name: "legacy iptables", Needs: []string{
		"NETFILTER_XTABLES", "IP_NF_IPTABLES", "IP_NF_FILTER", "IP_NF_NAT",
		"IP_NF_TARGET_MASQUERADE|NETFILTER_XT_TARGET_MASQUERADE",
		"NETFILTER_XT_MATCH_ADDRTYPE", "NETFILTER_XT_MATCH_CONNTRACK"}},
	{Name: "iptables-nft", Needs: []string{
		"NF_TABLES", "NFT_COMPAT", "NETFILTER_XTABLES",
		"NFT_NAT|NFT_CHAIN_NAT_IPV4|NF_NAT",
		"IP_NF_TARGET_MASQUERADE|NETFILTER_XT_TARGET_MASQUERADE|NFT_MASQ",
		"NETFILTER_XT_MATCH_ADDRTYPE|NFT_FIB", "NETFILTER_XT_MATCH_CONNTRACK|NFT_CT"}},
	{Name: "nft", Needs: []string{"NF_TABLES", "NFT_CT", "NFT_NAT", "NFT_MASQ|NFT_MASQ_IPV4", "NFT_FIB"}},
}

// routeParts are options that rules of one route use besides what the route
// itself needs.
var routeParts = []string{
	"NETFILTER_XT_NAT", "NETFILTER_XT_TARGET_REDIRECT", "NETFILTER_XT_MARK",
	"NETFILTER_XT_MATCH_COMMENT", "NETFILTER_XT_MATCH_MULTIPORT", "IP_NF_MANGLE", "IP_NF_RAW",
	"NFT_FIB_IPV4", "NFT_FIB_IPV6", "NF_TABLES_INET", "NF_TABLES_IPV4", "NF_TABLES_IPV6",
	"NETFILTER_XTABLES_LEGACY", "IP_NF_IPTABLES_LEGACY", "IP6_NF_IPTABLES_LEGACY",
}

// usedByRoutes reports whether an option belongs to a route: where another
// route is complete it is not needed.
func usedByRoutes(name string) bool {
	return slices.Contains(routeParts, name) ||
		slices.ContainsFunc(routes, func(r Route) bool { return r.needs(name) })
}

// PacketFilters judges every route, in the order of preference of age.
func (c *Config) PacketFilters() []Route {
	out := make([]Route, len(routes))
	for i, r := range routes {
		for _, n := range r.Needs {
			if !slices.ContainsFunc(names(n), c.On) {
				r.Lacking = append(r.Lacking, n)
			}
		}
		out[i] = r
	}
	return out
}
