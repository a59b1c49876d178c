package kconfig

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// parse makes a configuration of lines; a name alone is =y.
func parse(t testing.TB, header string, lines ...string) *Config {
	t.Helper()
	var b strings.Builder
	if header != "" {
		fmt.Fprintf(&b, "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/%s Kernel Configuration\n#\n", header)
	}
	for _, l := range lines {
		switch {
		case strings.HasPrefix(l, "#"):
			b.WriteString(l + "\n")
		case strings.Contains(l, "="):
			b.WriteString("CONFIG_" + l + "\n")
		default:
			b.WriteString("CONFIG_" + l + "=y\n")
		}
	}
	c, err := Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	v1Host = Hierarchies{V1: true}
	v2Host = Hierarchies{V2: true}
	hybrid = Hierarchies{V1: true, V2: true}
)

// Parts of a configuration.
var (
	nftables = []string{"NETFILTER", "NF_CONNTRACK", "NF_NAT", "NF_TABLES=m", "NFT_CT=m", "NFT_NAT=m", "NFT_MASQ=m", "NFT_FIB=m"}
	iptables = []string{"NETFILTER", "NF_CONNTRACK", "NF_NAT", "NETFILTER_XTABLES", "IP_NF_IPTABLES", "IP_NF_FILTER", "IP_NF_NAT",
		"NETFILTER_XT_TARGET_MASQUERADE", "NETFILTER_XT_MATCH_ADDRTYPE", "NETFILTER_XT_MATCH_CONNTRACK"}
)

// TestFalseAnswersOfOtherTools has a row for each answer that a checker people
// use is known to get wrong: what it says, and what is right.
func TestFalseAnswersOfOtherTools(t *testing.T) {
	for _, tt := range []struct {
		name   string // tool: what it says
		header string
		lines  []string
		host   Hierarchies
		option string
		want   State
	}{
		{"grep finds CONFIG_X=y in a comment, and calls it enabled", "x86 6.1.0", []string{"# CONFIG_OVERLAY_FS=y", "NET"}, v2Host, "OVERLAY_FS", Missing},
		{"moby, k3s, gentoo ask for DEVPTS_MULTIPLE_INSTANCES up to 4.8; it went in 4.7", "x86 4.7.0", []string{"NET"}, v1Host, "DEVPTS_MULTIPLE_INSTANCES", Inapplicable},
		{"and it is needed in 4.6", "x86 4.6.0", []string{"NET"}, v1Host, "DEVPTS_MULTIPLE_INSTANCES", Missing},
		{"lxc-checkconfig greps DEVPTS_MULTIPLE_INSTANCES without its prefix: always missing", "x86 4.4.0", []string{"DEVPTS_MULTIPLE_INSTANCES"}, v1Host, "DEVPTS_MULTIPLE_INSTANCES", Enabled},
		{"moby, k3s, gentoo: MEMCG_KMEM missing in 4.5, where it went", "x86 4.5.0", []string{"MEMCG"}, v1Host, "MEMCG_KMEM", Inapplicable},
		{"moby stops asking for MEMCG_SWAP at 5.8; it went in 6.1", "x86 6.0.0", []string{"MEMCG"}, v1Host, "MEMCG_SWAP", Missing},
		{"runc: MEMCG_SWAP missing in 6.1, part of MEMCG", "x86 6.1.0", []string{"MEMCG"}, v1Host, "MEMCG_SWAP", Instead},
		{"moby, gentoo ask for NF_NAT_IPV4 in 5.1; it went there", "x86 5.1.0", []string{"NF_NAT"}, v2Host, "NF_NAT_IPV4", Instead},
		{"and it is needed in 5.0", "x86 5.0.0", []string{"NF_NAT"}, v2Host, "NF_NAT_IPV4", Missing},
		{"lxc asks for NF_NAT_IPV4 only in 4.7 to 4.20: nothing said of 4.4", "x86 4.4.0", []string{"NF_NAT"}, v1Host, "NF_NAT_IPV4", Missing},
		{"moby, gentoo: NF_NAT_NEEDED in 5.2; it went there", "x86 5.2.0", []string{"NF_NAT"}, v2Host, "NF_NAT_NEEDED", Instead},
		{"k0s: NF_CONNTRACK_IPV4 missing in 4.19, part of NF_CONNTRACK", "x86 4.19.0", []string{"NF_CONNTRACK"}, v1Host, "NF_CONNTRACK_IPV4", Instead},
		{"moby, k0s: CGROUP_CPUACCT missing on openSUSE, which uses v2", "x86 6.4.0", []string{"CGROUPS"}, v2Host, "CGROUP_CPUACCT", Inapplicable},
		{"and it is missing where v1 is used", "x86 6.4.0", []string{"CGROUPS"}, v1Host, "CGROUP_CPUACCT", Missing},
		{"moby: CGROUP_DEVICE missing on a v2 host", "x86 6.6.0", []string{"CGROUP_BPF", "BPF_SYSCALL"}, v2Host, "CGROUP_DEVICE", Inapplicable},
		{"moby, runc: CGROUP_FREEZER missing on a v2 host", "x86 6.6.0", []string{"CGROUPS"}, v2Host, "CGROUP_FREEZER", Inapplicable},
		{"moby, runc never ask for BPF_SYSCALL, without which CGROUP_BPF is of no use", "x86 6.6.0", []string{"CGROUP_BPF"}, v2Host, "BPF_SYSCALL", Missing},
		{"k3s: NET_CLS_CGROUP missing on a v2 host", "x86 6.6.0", []string{"CGROUPS"}, v2Host, "NET_CLS_CGROUP", Inapplicable},
		{"none asks for MEMCG_V1 on a v1 host", "x86 6.12.0", []string{"MEMCG", "# CONFIG_MEMCG_V1 is not set"}, v1Host, "MEMCG_V1", Missing},
		{"and it is no concern of a v2 host", "x86 6.12.0", []string{"MEMCG", "# CONFIG_MEMCG_V1 is not set"}, v2Host, "MEMCG_V1", Inapplicable},
		{"nor of a release before the split", "x86 6.10.0", []string{"MEMCG"}, v1Host, "MEMCG_V1", Inapplicable},
		{"none asks for CPUSETS_V1 on a hybrid host", "x86 6.12.0", []string{"CPUSETS"}, hybrid, "CPUSETS_V1", Missing},
		{"moby, k3s: IP_NF_FILTER missing where XTABLES_LEGACY is off and nft is on", "x86 6.17.0", append([]string{"NETFILTER_XTABLES", "NFT_COMPAT=m", "# CONFIG_NETFILTER_XTABLES_LEGACY is not set"}, nftables...), v2Host, "IP_NF_FILTER", Instead},
		{"moby, k3s: IP_NF_NAT missing there", "x86 6.17.0", append([]string{"NETFILTER_XTABLES", "NFT_COMPAT=m", "# CONFIG_NETFILTER_XTABLES_LEGACY is not set"}, nftables...), v2Host, "IP_NF_NAT", Instead},
		{"k0s: NETFILTER_XTABLES missing where nft alone serves", "x86 6.17.0", nftables, v2Host, "NETFILTER_XTABLES", Instead},
		{"and it is missing where nothing serves", "x86 6.17.0", []string{"NETFILTER"}, v2Host, "NETFILTER_XTABLES", Missing},
		{"k0s: the alias of an option never counts, NFT_REDIR for XT_TARGET_REDIRECT", "x86 6.6.0", append([]string{"NFT_REDIR=m"}, iptables...), v2Host, "NETFILTER_XT_TARGET_REDIRECT", Instead},
		{"moby does not ask for NFT_COMPAT; legacy iptables needs none", "x86 6.6.0", iptables, v2Host, "NFT_COMPAT", Instead},
		{"moby, gentoo: CRYPTO_GHASH missing in 7.1, where it is library code", "x86 7.1.0", []string{"CRYPTO_GCM"}, v2Host, "CRYPTO_GHASH", Inapplicable},
		{"k3s: INET_XFRM_MODE_TRANSPORT missing in 5.2, built in since", "x86 5.2.0", []string{"XFRM"}, v2Host, "INET_XFRM_MODE_TRANSPORT", Inapplicable},
		{"moby: EXT3_FS_XATTR missing on every kernel since 4.3", "x86 6.6.0", []string{"EXT4_FS"}, v2Host, "EXT3_FS_XATTR", Instead},
		{"moby: EXT3_FS missing in 6.18, where ext4 serves it", "x86 6.18.0", []string{"EXT4_FS"}, v2Host, "EXT3_FS", Instead},
		{"moby: IOSCHED_CFQ missing since 5.0", "x86 5.4.0", []string{"CGROUPS"}, v1Host, "IOSCHED_CFQ", Inapplicable},
		{"moby, gentoo look for LEGACY_VSYSCALL_NATIVE on every kernel and architecture", "arm64 6.6.0", []string{"ARM64"}, v2Host, "LEGACY_VSYSCALL_EMULATE", Inapplicable},
		{"k3s: RT_GROUP_SCHED missing, where it is better off", "x86 6.6.0", []string{"CGROUP_SCHED"}, v2Host, "RT_GROUP_SCHED", Enabled},
		{"and on it is wrong", "x86 6.6.0", []string{"RT_GROUP_SCHED"}, v2Host, "RT_GROUP_SCHED", Missing},
		{"unless it is off until booted with rt_group_sched=1", "x86 6.16.0", []string{"RT_GROUP_SCHED", "RT_GROUP_SCHED_DEFAULT_DISABLED"}, v2Host, "RT_GROUP_SCHED", Enabled},
		{"CPUSETS missing on a kernel for one processor", "x86 6.6.0", []string{"# CONFIG_SMP is not set"}, v2Host, "CPUSETS", Inapplicable},
		{"criu: MEM_SOFT_DIRTY missing on arm64, where it is normal", "arm64 6.6.0", []string{"CHECKPOINT_RESTORE"}, v2Host, "MEM_SOFT_DIRTY", Inapplicable},
		{"criu: TIME_NS missing in 5.3, before it came", "x86 5.3.0", []string{"CGROUPS"}, v2Host, "TIME_NS", Inapplicable},
		{"a distribution's 4.18 with PSI carried back", "x86 4.18.0", []string{"PSI"}, v1Host, "PSI", Enabled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options, err := Options()
			if err != nil {
				t.Fatal(err)
			}
			o, ok := Lookup(options, tt.option)
			if !ok {
				t.Fatalf("no option %s", tt.option)
			}
			c := parse(t, tt.header, tt.lines...)
			f := c.Judge([]Option{o}, tt.host)[0]
			if f.State != tt.want {
				t.Errorf("%s: %s (%s), want %s", tt.option, f.State, f.Reason, tt.want)
			}
		})
	}
}

func TestPacketFilters(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string // complete routes
	}{
		{"legacy", iptables, []string{"legacy iptables"}},
		{"nft", nftables, []string{"nft"}},
		{"both", append([]string{"NFT_COMPAT"}, append(iptables, nftables...)...), []string{"legacy iptables", "iptables-nft", "nft"}},
		{"none", []string{"NETFILTER"}, nil},
	} {
		var got []string
		for _, r := range parse(t, "x86 6.6.0", tt.lines...).PacketFilters() {
			if r.Complete() {
				got = append(got, r.Name)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A fragment that is merged in leaves nothing lacking, whatever was there.
func TestFragmentMendsEverything(t *testing.T) {
	options, err := Options()
	if err != nil {
		t.Fatal(err)
	}
	options = slices.DeleteFunc(options, func(o Option) bool { return o.Group == "hardening" })
	all := releases()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SampledFrom(all).Draw(t, "release")
		h := rapid.SampledFrom([]Hierarchies{v1Host, v2Host, hybrid}).Draw(t, "host")
		c := &Config{Version: v, Arch: "x86", Values: map[string]string{"SMP": "y"}}
		for _, o := range options {
			if value := rapid.SampledFrom([]string{"y", "m", "n", ""}).Draw(t, o.Name); value != "" {
				c.Values[o.Name] = value
			}
		}
		fragment := c.Fragment(c.Judge(options, h), "required", "recommended", "optional")
		if fragment == "" {
			return
		}
		patch, err := Parse([]byte(fragment))
		if err != nil {
			t.Fatalf("the fragment is no configuration: %v\n%s", err, fragment)
		}
		for name, value := range patch.Values {
			c.Values[name] = value
		}
		for _, f := range c.Judge(options, h) {
			if f.State == Missing {
				t.Errorf("%s is still missing (%q)", f.Option.Name, f.Value)
			}
		}
	})
}

func TestFragmentNamesDependencies(t *testing.T) {
	options, _ := Options()
	o, _ := Lookup(options, "IP_NF_NAT")
	c := parse(t, "x86 6.17.0", "NETFILTER_ADVANCED", "NETFILTER_XTABLES")
	got := c.Fragment(c.Judge([]Option{o}, v2Host), "recommended")
	want := "# network:bridge\nCONFIG_NETFILTER_XTABLES_LEGACY=y\nCONFIG_IP_NF_NAT=m\n"
	if got != want {
		t.Errorf("fragment %q, want %q", got, want)
	}
}
