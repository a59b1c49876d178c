package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
)

const testPort = 7000

func init() {
	// answer tells everyone who connects where they come from.
	acts["answer"] = func() error {
		l, err := net.Listen("tcp4", fmt.Sprint(":", testPort))
		if err != nil {
			return err
		}
		fmt.Println("ready")
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	}
	// ask prints the links it has, and what the server at TO answers.
	acts["ask"] = func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			addresses, _ := l.Addrs()
			fmt.Println("link", l.Index, l.Name, l.Flags, addresses)
		}
		if err != nil {
			return err
		}
		c, err := net.DialTimeout("tcp4", os.Getenv("TO"), 10*time.Second)
		if err != nil {
			fmt.Println("answer:", err)
			return nil
		}
		said, err := io.ReadAll(c)
		fmt.Println("answer:", string(said), err)
		return nil
	}
}

func openNetwork(t *testing.T, o network.Options) *network.Net {
	t.Helper()
	n, err := network.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// ask runs a container that asks a server, and gives what it printed.
func (f *fixture) ask(a *network.Attachment, server netip.Addr) string {
	f.t.Helper()
	return f.output(func(s *Spec) {
		s.Env = []string{"PLIMSOLL_ACT=ask", fmt.Sprintf("TO=%s:%d", server, testPort)}
		s.Network = a
	})
}

func TestBridgedContainers(t *testing.T) {
	f := newFixture(t)
	n := openNetwork(t, network.Options{})
	server, client := n.Attach(), n.Attach()
	f.ready("answer", func(s *Spec) { s.Network = server })
	got := f.ask(client, server.Address.Addr())
	wants(t, got, "answer: "+client.Address.Addr().String()+" <nil>",
		"lo up|loopback|running", "eth0 up|broadcast|multicast|running ["+client.Address.String()+"]") // no IPv6
	if lines := strings.Count(got, "link "); lines != 2 && !strings.Contains(got, "tunl0") {
		t.Errorf("the container has %d links:\n%s", lines, got)
	}
	wants(t, f.ask(n.Attach(), client.Gateway), "answer: dial tcp4 "+client.Gateway.String()+":7000: connect: connection refused")
	for _, phase := range []string{"network link", "network address"} {
		if !hasPhase(f, n.Attach(), phase) {
			t.Errorf("phase %q is not timed", phase)
		}
	}
}

// TestBridgeOfUserNamespace: such a container has no say in the router, and
// comes onto its bridge all the same; a refusal is named too.
func TestBridgeOfUserNamespace(t *testing.T) {
	need(t, "userns-overlay", !launch.MissingFeatures().Has(launch.UserOverlay))
	f := newFixture(t)
	n := openNetwork(t, network.Options{})
	server, client := n.Attach(), n.Attach()
	f.ready("answer", func(s *Spec) { s.Network = server })
	got := f.output(func(s *Spec) {
		f.mapUsers(s)
		s.Network = client
		s.Env = []string{"PLIMSOLL_ACT=ask", fmt.Sprintf("TO=%s:%d", server.Address.Addr(), testPort)}
	})
	wants(t, got, "answer: "+client.Address.Addr().String()+" <nil>", "eth0 up|broadcast|multicast|running ["+client.Address.String()+"]")

	spec := f.spec("true", nil)
	f.mapUsers(&spec)
	spec.Network = server // its port is taken
	c, err := f.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove(context.Background())
	if err := c.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "network link "+server.Port+": ") {
		t.Errorf("a port that is taken: %v", err)
	}
	spec = f.spec("true", nil)
	f.mapUsers(&spec)
	spec.Network = n.Attach()
	for _, p := range f.start(spec).Phases() {
		if p.Name == "network link" {
			return
		}
	}
	t.Error("the link is not timed")
}

// TestBridgeOnOldKernels lends the router's descriptor where all others are
// closed one by one.
func TestBridgeOnOldKernels(t *testing.T) {
	needRoot(t)
	f := newFixtureWithout(t, launch.CloseRange|launch.Clone3|launch.ClearSighand|launch.IntoCgroup|launch.Openat2, makeTestImage(t))
	n := openNetwork(t, network.Options{})
	a := n.Attach()
	wants(t, f.ask(a, a.Gateway), "connect: connection refused", "eth0 up|broadcast|multicast|running ["+a.Address.String()+"]")
}

func hasPhase(f *fixture, a *network.Attachment, name string) bool {
	spec := f.spec("true", nil)
	spec.Network = a
	for _, p := range f.start(spec).Phases() {
		if p.Name == name {
			return true
		}
	}
	return false
}

// A name that is taken is refused, and the message says which request it was.
func TestNetworkRefusalIsNamed(t *testing.T) {
	f := newFixture(t)
	n := openNetwork(t, network.Options{})
	a := n.Attach()
	f.ready("wait", func(s *Spec) { s.Network = a })
	spec := f.spec("true", nil)
	spec.Network = a
	for _, spec.CopyMemory = range []bool{false, true} {
		spec.Group += "x"
		c, err := f.Create(spec)
		if err != nil {
			t.Fatal(err)
		}
		var op *launch.OpError
		err = c.Start(t.Context())
		if !errors.As(err, &op) || !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EBUSY) ||
			!strings.HasPrefix(err.Error(), "network link "+a.Port+": netlink: E") {
			t.Errorf("copy memory %v: %v", spec.CopyMemory, err)
		}
		if err := c.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
