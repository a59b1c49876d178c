package network

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files")

// show prints a message attribute by attribute; nested ones are indented.
func show(m message) string {
	fixed := map[uint16]int{unix.RTM_NEWLINK: unix.SizeofIfInfomsg, unix.RTM_NEWADDR: unix.SizeofIfAddrmsg, unix.RTM_NEWROUTE: unix.SizeofRtMsg}
	kind := native.Uint16(m[4:])
	n, ok := fixed[kind]
	if !ok {
		n = 4 // struct nfgenmsg
	}
	n = min(n, len(m)-16) // a batch's end has the type of a link
	var b strings.Builder
	fmt.Fprintf(&b, "type %d flags %#x header %x\n", kind, native.Uint16(m[6:]), []byte(m[16:16+n]))
	showAttributes(&b, m[16+n:], 1)
	return b.String()
}

func showAttributes(b *strings.Builder, data []byte, depth int) {
	for len(data) >= 4 {
		n, kind := int(native.Uint16(data)), int(native.Uint16(data[2:]))
		fmt.Fprintf(b, "%s%d:", strings.Repeat("  ", depth), kind&typeMask)
		value := data[4:n]
		text := strings.TrimRight(string(value), "\x00")
		switch {
		case kind&unix.NLA_F_NESTED != 0 && len(value) > 16 && native.Uint16(value) == 0: // struct ifinfomsg of VETH_INFO_PEER
			fmt.Fprintf(b, " header %x\n", value[:16])
			showAttributes(b, value[16:], depth+1)
		case kind&unix.NLA_F_NESTED != 0:
			b.WriteByte('\n')
			showAttributes(b, value, depth+1)
		case text != "" && len(text) == len(value)-1 && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
			fmt.Fprintf(b, " %q\n", text)
		default:
			fmt.Fprintf(b, " %x\n", value)
		}
		data = data[min((n+3)&^3, len(data)):]
	}
}

func TestRequests(t *testing.T) {
	p := plan{run: alone, bridges: 2}
	var b strings.Builder
	for _, r := range p.attach(7, RouterFD).Requests {
		fmt.Fprintf(&b, "%s, %s: %s\n", r.Phase, r.Object, show(message(r.Message)))
	}
	gateway := p.gateway(1)
	for _, m := range []message{newBridge("bridge1", bridgeIndex+1), newAddress(bridgeIndex+1, gateway, gateway.Addr()), forward(bridgeIndex + 1)} {
		fmt.Fprintf(&b, "bridge: %s\n", show(m))
	}
	router, _ := p.uplink()
	for _, m := range append(masquerade("nat", 0, leavesBy(uplinkIndex)), masquerade("plimsoll5", nftOwner, comesFrom(router.As4()))...) {
		fmt.Fprintf(&b, "masquerade: %s\n", show(m))
	}
	const golden = "testdata/requests.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("requests (-want +got), -update if it is meant:\n%s", diff)
	}
}

// Ten thousand containers alive at once: no two have a name or an address in
// common, wherever their numbers begin.
func TestNothingCollides(t *testing.T) {
	const many = 10_000
	p := plan{run: alone, bridges: (many+perBridge-1)/perBridge + 1}
	round := p.bridges * perBridge // after which addresses come again
	for _, first := range []int{0, 1, perBridge - 1, round - many, round - 1, round - many/2, 1 << 30, rand.IntN(1 << 30)} {
		names, addresses, ports := map[string]bool{}, map[netip.Addr]bool{}, map[int]int{}
		router, host := p.uplink()
		addresses[router], addresses[host] = true, true
		for b := range p.bridges {
			block := p.gateway(b).Masked() // its first and last address are nobody's
			addresses[block.Addr()], addresses[p.gateway(b).Addr()], addresses[p.at(b*1024+1023)] = true, true, true
		}
		for n := first; n < first+many; n++ {
			name, address := portName(n), p.container(n)
			if names[name] || len(name) >= unix.IFNAMSIZ {
				t.Fatalf("from %d, container %d: name %q", first, n, name)
			}
			names[name] = true
			if addresses[address.Addr()] || !p.run.Contains(address.Addr()) || !p.gateway(p.bridge(n)).Contains(address.Addr()) {
				t.Fatalf("from %d, container %d: address %s", first, n, address)
			}
			addresses[address.Addr()] = true
			if ports[p.bridge(n)]++; ports[p.bridge(n)] > 1023 {
				t.Fatalf("from %d, container %d is one too many for bridge %d", first, n, p.bridge(n))
			}
		}
	}
}

func TestChoose(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	for _, tt := range []struct {
		taken []netip.Prefix
		from  int
		want  string
	}{
		{prefixes("0.0.0.0/0", "192.0.2.0/24"), 0, "100.64.0.0/16"},
		{prefixes("100.64.255.253/32"), 0, "100.65.0.0/16"},
		{prefixes("100.64.0.0/11"), 3, "100.96.0.0/16"},
		{prefixes("100.127.0.0/16"), 63, "100.64.0.0/16"},
		{nil, 4711, "100.103.0.0/16"},
		{prefixes("100.64.0.0/10"), 0, ""},
	} {
		got, err := choose(tt.taken, tt.from)
		if tt.want == "" {
			if err == nil || !strings.Contains(err.Error(), "100.64.0.0/10") {
				t.Errorf("%v: %v, %v", tt.taken, got, err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("%v from %d: %v, %v, want %s", tt.taken, tt.from, got, err, tt.want)
		}
	}
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte(linkUp(5)))
	f.Add([]byte(newVeth(veth{name: "a", peer: "b"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		replies(b, func(_ int, body []byte) {
			attributes(body, func(_ int, data []byte) { size += len(data) })
		})
		if size > len(b) {
			t.Errorf("%d bytes of attributes in %d", size, len(b))
		}
	})
}
