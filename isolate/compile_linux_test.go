package isolate

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
	"plimsoll/isolate/seccomp"
)

var update = flag.Bool("update", false, "write the golden files")

func full() Spec {
	caps := DockerDefault
	return Spec{
		Path: "/probe", Args: []string{"exit"}, Env: []string{"PATH=/bin"}, Dir: "/tmp",
		Namespaces: AllSix,
		Root: &Root{Path: "/w/merged", Overlay: &Overlay{
			Lower: []string{"/image/b:2", "/image/a"}, Upper: "/w/upper", Work: "/w/work"}},
		Mounts: []Mount{{Source: "/srv/data", Target: "/data"}, {Type: "tmpfs", Target: "/tmp", Options: "size=1m"}},
		Proc:   true, Sys: true, Dev: true, Hostname: "c1", Loopback: true,
		NoNewPrivs: true, Capabilities: &caps, User: &User{UID: 1000, GID: 1000, Groups: []uint32{4}},
		NewSession: true, DieWithParent: true,
	}
}

func TestCompile(t *testing.T) {
	v1 := cgroup.Join{Files: []string{"/cg/cpu/plimsoll-r/c1/cgroup.procs", "/cg/memory/plimsoll-r/c1/cgroup.procs"}}
	for _, tt := range []struct {
		name string
		spec func() Spec
		join cgroup.Join

		missing launch.Features
	}{
		{"bare", func() Spec { return Spec{Path: "/probe"} }, cgroup.Join{}, 0},
		{"full", full, v1, 0},
		{"old", func() Spec { return Spec{Path: "/probe", Namespaces: PID | Cgroup | Time} },
			cgroup.Join{Unified: "/cg/c1", UnifiedProcs: "/cg/c1/cgroup.procs", Files: v1.Files}, launch.CloseRange | launch.IntoCgroup | launch.TimeExec},
		{"yardstick", func() Spec {
			return Spec{Path: "/true", Namespaces: AllSix, Proc: true, Hostname: "c",
				Root: &Root{Path: "/w/merged", Overlay: &Overlay{Lower: []string{"/image"}, Upper: "/w/upper", Work: "/w/work"}}}
		}, cgroup.Join{}, 0},
		{"hardened", func() Spec {
			s := full()
			s.Mounts = []Mount{{Type: "tmpfs", Target: "/data/tmp", Options: "size=1m"}}
			s.MaskedPaths = []string{"/proc/kcore", "/proc/acpi/", "/proc/keys"}
			s.ReadOnlyPaths = []string{"/proc/sys", "/data/tmp", "/etc"}
			filter, err := seccomp.Docker().Filter(seccomp.Target{Arch: "amd64", Kernel: 6001, Capabilities: s.Capabilities.Names()})
			if err != nil {
				t.Fatal(err)
			}
			s.Seccomp = filter
			return s
		}, cgroup.Join{}, 0},
		{"user", func() Spec {
			s := full()
			s.Namespaces |= UserNS | Time
			s.TimeOffset = -1500 * time.Millisecond
			s.UIDMap = []IDMap{{0, 100000, 65536}}
			s.GIDMap = s.UIDMap
			s.Root = &Root{Path: "/image", ReadOnly: true}
			return s
		}, cgroup.Join{}, 0},
		{"bridge", func() Spec {
			return Spec{Path: "/probe", Namespaces: Net, Loopback: true, Network: &network.Attachment{Router: 9, Requests: []network.Request{
				{Phase: "network link", Object: "port7", Message: "make a pair"},
				{Phase: "network link", Object: "eth0 silent", Message: "no IPv6", Try: unix.EAFNOSUPPORT},
				{Phase: "network address", Object: "100.64.0.9/22", Message: "give an address"},
			}}}
		}, cgroup.Join{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.spec()
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			compareProgram(t, tt.name, Compile(&s, [3]int{5, 6, 6}, tt.join, tt.missing))
		})
	}
}

func TestCompileExec(t *testing.T) {
	s := full()
	s.Namespaces |= UserNS | Time
	x := Exec{Path: "/probe", Args: []string{"exit"}, DieWithParent: true, NewSession: true}
	join := cgroup.Join{Files: []string{"/cg/memory/plimsoll-r/c1/tasks"}}
	compareProgram(t, "exec", CompileExec(&s, &x, 4711, [3]int{5, 6, 6}, join, 0))
}

func compareProgram(t *testing.T, name string, p *launch.Program) {
	t.Helper()
	got := p.String()
	golden := filepath.Join("testdata", "program", name+".txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("program (-want +got), -update if it is meant:\n%s", diff)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for _, tt := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Path = "probe" }, `path "probe": must be absolute`},
		{func(s *Spec) { s.Namespaces = PID }, "root: needs a mount namespace"},
		{func(s *Spec) { s.Namespaces &^= PID }, "proc: needs a mount and a pid namespace"},
		{func(s *Spec) { s.Namespaces &^= UTS }, "hostname: needs a uts namespace"},
		{func(s *Spec) { s.Namespaces |= UserNS }, "needs a uid and a gid map"},
		{func(s *Spec) { s.TimeOffset = 1 }, "time offset: needs a time namespace"},
		{func(s *Spec) { s.Network = &network.Attachment{}; s.Namespaces &^= Net }, "network: needs a network namespace"},
		{func(s *Spec) { s.Namespaces |= 1 }, "unknown bits 0x1"},
		{func(s *Spec) { s.Root = nil }, "need a root of the container's own"},
		{func(s *Spec) { s.Root.Overlay.Work = "" }, "upper and work directory go together"},
		{func(s *Spec) { s.Root.Overlay.Lower = nil }, "without a lower directory"},
		{func(s *Spec) { s.Root.Overlay.Lower = []string{"/" + strings.Repeat("x", 5000)} }, "use fewer layers"},
		{func(s *Spec) { s.Mounts[0].Target = "/data/../etc" }, "must be a clean absolute path"},
		{func(s *Spec) { s.Mounts[0].Source = "data" }, `mount source "data": must be absolute`},
		{func(s *Spec) { s.Hostname = strings.Repeat("h", 65) }, "longer than 64 bytes"},
		{func(s *Spec) { s.Limits.Memory = 1 << 20 }, "limits: need a group"},
		{func(s *Spec) { s.MaskedPaths = []string{"/proc/../etc"} }, `path "/proc/../etc": must be a clean`},
		{func(s *Spec) { s.ReadOnlyPaths = []string{"/"} }, `path "/": must be a clean`},
		{func(s *Spec) { s.MaskedPaths, s.Dev = []string{"/proc/keys"}, false }, "masked paths: need dev"},
		{func(s *Spec) { s.Seccomp, s.NoNewPrivs = new(seccomp.Filter), false }, "seccomp: needs no_new_privs"},
		{func(s *Spec) { s.Group = "c"; s.Limits.Memory = 100 }, "memory 100"},
	} {
		s := full()
		tt.change(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	s := full()
	p := &launch.Program{}
	for b.Loop() {
		compile(p, &s, [3]int{5, 6, 6}, cgroup.Join{}, 0)
	}
}
