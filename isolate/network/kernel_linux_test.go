package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// With PLIMSOLL_ACT this binary is a run of its own that is to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("PLIMSOLL_ACT") == "run" {
		n, err := Open(Options{NAT: true})
		fmt.Println("open", err)
		if err == nil {
			fmt.Println("beyond", n.Beyond())
		}
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// need: see package isolate's.
func need(t *testing.T, capability string, has bool) {
	t.Helper()
	if has {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not", capability)
	}
	t.Skipf("needs %s", capability)
}

// namespace is a network namespace made for a test.
type namespace struct {
	*os.File
	route socket
	t     *testing.T
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	n := &Net{}
	if err := n.makeRouter(false); err != nil {
		t.Fatal(err)
	}
	ns := &namespace{n.router, n.route, t}
	t.Cleanup(ns.end)
	ns.do(linkUp(loIndex))
	return ns
}

// end lets go of the namespace, which ends it.
func (ns *namespace) end() {
	ns.File.Close()
	ns.route.Close()
	ns.route.fd = -1
}

func (ns *namespace) do(m ...message) {
	ns.t.Helper()
	if err := ns.route.request(nil, m...); err != nil {
		ns.t.Fatal(err)
	}
}

// in runs f on a thread that is in the namespace.
func (ns *namespace) in(f func()) {
	ns.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		ns.t.Fatal(err)
	}
	defer home.Close()
	set := func(f *os.File) {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
	}
	set(ns.File)
	defer set(home)
	f()
}

// join puts the namespace on a bridge of n, as a container does itself.
func (ns *namespace) join(n *Net) *Attachment {
	ns.t.Helper()
	a := n.plan.attach(int(n.next.Add(1)-1), int(n.router.Fd()))
	if err := a.send(ns.route); err != nil {
		ns.t.Fatal(err)
	}
	ns.awaitUp(n.route, portIndex+int(n.next.Load())-1)
	return a
}

// awaitUp waits until a link carries: the end of a pair that was up first
// does not at once (see Attachment).
func (ns *namespace) awaitUp(s socket, index int) {
	ns.t.Helper()
	const up = 6 // IF_OPER_UP
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		state := byte(0)
		if err := s.request(func(_ int, body []byte) {
			attributes(body[unix.SizeofIfInfomsg:], func(kind int, data []byte) {
				if kind == unix.IFLA_OPERSTATE {
					state = data[0]
				}
			})
		}, newMessage(unix.RTM_GETLINK, 0, linkHeader(index, 0)...)); err != nil {
			ns.t.Fatal(err)
		}
		if state == up {
			return
		}
		if time.Now().After(deadline) {
			ns.t.Fatalf("link %d is in state %d", index, state)
		}
	}
}

// open opens a run's network whose host is the namespace.
func (ns *namespace) open(o Options) *Net {
	ns.t.Helper()
	var n *Net
	ns.in(func() {
		var err error
		if n, err = Open(o); err != nil {
			ns.t.Fatal(err)
		}
	})
	ns.t.Cleanup(func() { n.Close() })
	if o.NAT {
		ns.awaitUp(n.route, uplinkIndex)
	}
	return n
}

// serve tells everyone who connects the address that they come from.
func (ns *namespace) serve() (port int, stop func()) {
	ns.t.Helper()
	ns.in(func() {
		l, err := net.Listen("tcp4", ":0")
		if err != nil {
			ns.t.Fatal(err)
		}
		stop = func() { l.Close() }
		ns.t.Cleanup(stop)
		port = l.Addr().(*net.TCPAddr).Port
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
				c.Close()
			}
		}()
	})
	return port, stop
}

// ask connects to a server and gives what it says.
func (ns *namespace) ask(to netip.Addr, port int) (said string, err error) {
	ns.in(func() {
		// By hand: a net.Dialer may connect from another thread.
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		f := os.NewFile(uintptr(fd), "connection")
		defer f.Close()
		limit := unix.NsecToTimeval(int64(1500 * time.Millisecond))
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
		if err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: to.As4()}); err != nil {
			return
		}
		var text []byte
		text, err = io.ReadAll(f)
		said = string(text)
	})
	return said, err
}

// state is what a run might leave in a namespace.
func (ns *namespace) state() map[string]string {
	ns.t.Helper()
	var links, tables []string
	dump := func(s socket, m message, header, kind int, list *[]string) {
		err := s.request(func(_ int, body []byte) {
			attributes(body[header:], func(k int, data []byte) {
				if k == kind {
					*list = append(*list, string(bytes.TrimRight(data, "\x00")))
				}
			})
		}, m)
		if err != nil {
			ns.t.Fatal(err)
		}
	}
	dump(ns.route, newMessage(unix.RTM_GETLINK, unix.NLM_F_DUMP, linkHeader(0, 0)...), unix.SizeofIfInfomsg, unix.IFLA_IFNAME, &links)
	routes, err := ns.route.routes()
	if err != nil {
		ns.t.Fatal(err)
	}
	ns.in(func() {
		s, err := openSocket(unix.NETLINK_NETFILTER)
		if err != nil {
			return
		}
		defer s.Close()
		m := nftMessage(unix.NFT_MSG_GETTABLE, unix.NLM_F_DUMP)
		dump(s, m, 4, unix.NFTA_TABLE_NAME, &tables)
	})
	return map[string]string{"links": strings.Join(links, " "), "routes": fmt.Sprint(routes), "tables": strings.Join(tables, " ")}
}

// becomes waits for the kernel's worker to take away what has ended.
func (ns *namespace) becomes(want map[string]string) {
	ns.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		diff := cmp.Diff(want, ns.state())
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			ns.t.Fatalf("left behind (-before +after):\n%s", diff)
		}
	}
}

func TestBridge(t *testing.T) {
	host, a, b := newNamespace(t), newNamespace(t), newNamespace(t)
	before := host.state()
	n := host.open(Options{})
	router := &namespace{n.router, n.route, t}
	empty := router.state()
	joinedA, joinedB := a.join(n), b.join(n)
	port, stopB := b.serve()
	if said, err := a.ask(joinedB.Address.Addr(), port); err != nil || said != joinedA.Address.Addr().String() {
		t.Errorf("container to container: %q, %v", said, err)
	}
	if _, err := b.ask(joinedA.Gateway, 9); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("container to router, where nobody listens: %v", err)
	}
	if _, err := a.ask(netip.MustParseAddr("192.0.2.1"), 9); !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("beyond a bridge without NAT: %v", err)
	}
	if diff := cmp.Diff(before, host.state()); diff != "" {
		t.Errorf("the host sees a bridge:\n%s", diff)
	}
	stopB()
	a.end()
	b.end()
	router.becomes(empty)
}

// TestNamespace: what is made for others to join is as what joins by itself,
// and gone when nobody holds it.
func TestNamespace(t *testing.T) {
	host := newNamespace(t)
	n := host.open(Options{})
	router := &namespace{n.router, n.route, t}
	empty := router.state()
	var both []*namespace
	for i := range 2 {
		file, err := n.Namespace()
		if err != nil {
			t.Fatal(err)
		}
		ns := &namespace{file, socket{-1}, t}
		t.Cleanup(ns.end)
		if _, err := ns.ask(netip.MustParseAddr("127.0.0.1"), 9); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("loopback: %v", err)
		}
		router.awaitUp(n.route, portIndex+i)
		both = append(both, ns)
	}
	port, stop := both[1].serve()
	if said, err := both[0].ask(n.plan.container(1).Addr(), port); err != nil || said != n.plan.container(0).Addr().String() {
		t.Errorf("container to container: %q, %v", said, err)
	}
	stop()
	both[0].end()
	both[1].end()
	router.becomes(empty)
}

func TestBridgesReachEachOther(t *testing.T) {
	host, a, b := newNamespace(t), newNamespace(t), newNamespace(t)
	n := host.open(Options{})
	joinedA := a.join(n)
	n.next.Store(perBridge)
	joinedB := b.join(n)
	if joinedA.Gateway == joinedB.Gateway {
		t.Fatal("both are on one bridge")
	}
	port, _ := b.serve()
	if said, err := a.ask(joinedB.Address.Addr(), port); err != nil || said != joinedA.Address.Addr().String() {
		t.Errorf("container to container over two bridges: %q, %v", said, err)
	}
}

// outside makes a host with a network beyond it.
func outside(t *testing.T, forward string) (host, beyond *namespace) {
	host, beyond = newNamespace(t), newNamespace(t)
	host.do(newVeth(veth{name: "wan", index: 10, peer: "lan", peerIndex: 11, peerNamespace: int(beyond.Fd())}))
	hostAddr, beyondAddr := netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("198.51.100.2/24")
	host.do(newAddress(10, hostAddr, hostAddr.Addr()))
	beyond.do(newAddress(11, beyondAddr, beyondAddr.Addr()), linkUp(11))
	host.in(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(forward), 0); err != nil {
			t.Fatal(err)
		}
	})
	return host, beyond
}

func nftWorks(t *testing.T) bool {
	ok := false
	newNamespace(t).in(func() {
		s, err := openSocket(unix.NETLINK_NETFILTER)
		ok = err == nil && s.request(nil, masquerade("try", 0, leavesBy(1))...) == nil
		s.Close()
	})
	return ok
}

func TestNAT(t *testing.T) {
	host, beyond := outside(t, "1")
	need(t, "nftables", nftWorks(t))
	before := host.state()
	a := newNamespace(t)
	n := host.open(Options{NAT: true})
	a.join(n)
	router, hostEnd := n.plan.uplink()
	port, _ := host.serve()
	if said, err := a.ask(hostEnd, port); err != nil || said != router.String() {
		t.Errorf("container to host: %q, %v, want %s", said, err, router)
	}
	port, _ = beyond.serve()
	if err := n.Beyond(); err != nil {
		if !strings.Contains(err.Error(), "5.12") {
			t.Error(err)
		}
	} else if said, err := a.ask(netip.MustParseAddr("198.51.100.2"), port); err != nil || said != "198.51.100.1" {
		t.Errorf("container to beyond the host: %q, %v", said, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	host.becomes(before)
}

func TestNATLeavesSysctlAlone(t *testing.T) {
	host, beyond := outside(t, "0")
	need(t, "nftables", nftWorks(t))
	a := newNamespace(t)
	n := host.open(Options{NAT: true})
	a.join(n)
	if err := n.Beyond(); err == nil || !strings.Contains(err.Error(), "net.ipv4.ip_forward is 0") {
		t.Errorf("beyond: %v", err)
	}
	port, _ := beyond.serve()
	if said, err := a.ask(netip.MustParseAddr("198.51.100.2"), port); err == nil {
		t.Errorf("a host that does not forward did: %q", said)
	}
	host.in(func() {
		if is, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err != nil || string(is) != "0\n" {
			t.Errorf("ip_forward is %q, %v", is, err)
		}
	})
}

// Two runs at once keep out of each other's way.
func TestTwoRuns(t *testing.T) {
	host, _ := outside(t, "1")
	need(t, "nftables", nftWorks(t))
	for range 2 {
		a, n := newNamespace(t), host.open(Options{NAT: true})
		a.join(n)
		_, hostEnd := n.plan.uplink()
		if _, err := a.ask(hostEnd, 9); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("container to host: %v", err)
		}
	}
}

func TestKilledRunLeavesNothing(t *testing.T) {
	host, _ := outside(t, "1")
	need(t, "nftables", nftWorks(t))
	before := host.state()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PLIMSOLL_ACT=run")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	host.in(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 256)
	k, err := out.Read(said)
	if err != nil || !strings.HasPrefix(string(said[:k]), "open <nil>") {
		t.Errorf("%s, %v", said[:k], err)
	}
	if diff := cmp.Diff(before, host.state()); diff == "" {
		t.Error("the run has made nothing that could be left")
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	host.becomes(before)
}

func TestTooManyContainers(t *testing.T) {
	if _, err := Open(Options{Containers: 1 << 17}); err == nil || !strings.Contains(err.Error(), "at most 63302") {
		t.Errorf("got %v", err)
	}
}
