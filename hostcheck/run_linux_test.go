package hostcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/kconfig"
)

// requireOrSkip skips a test that this host cannot make, unless PLIMSOLL_REQUIRE names
// the capability: then its absence is a failure.
func requireOrSkip(t *testing.T, capabilities ...string) {
	t.Helper()
	for _, c := range capabilities {
		has := false
		switch c {
		case "root":
			has = os.Geteuid() == 0
		case "modules":
			_, err := os.Stat("/proc/modules")
			has = err == nil
		}
		if has {
			continue
		}
		if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), c) {
			t.Fatalf("%s is required and not there", c)
		}
		t.Skipf("needs %s", c)
	}
}

// child is set in a test binary that was started as another user, or in
// namespaces, to print a report and exit.
const child = "HOSTCHECK_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(printReport())
	}
	os.Exit(m.Run())
}

func printReport() int {
	r, err := Run(Options{Use: All})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if json.NewEncoder(os.Stdout).Encode(r) != nil {
		return 1
	}
	return 0
}

// reportAs starts this test binary otherwise and reads the report it prints.
func reportAs(t *testing.T, how *syscall.SysProcAttr) *Report {
	t.Helper()
	// The binary lies in a directory of mode 0700.
	dir, err := os.MkdirTemp("", "hostcheck")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "hostcheck.test")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program)
	c.Dir = "/"
	c.Env = append(os.Environ(), child+"=1", "HOME=/nonexistent", "SUDO_USER=")
	c.SysProcAttr = how
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// state is what a run could leave behind. Other tests run beside this one and
// make mounts, links and cgroups of their own: only ours count.
type state struct {
	Modules, Mounts, Links, Files string
	FDs, Children                 int
	Sysctls                       map[string]string
}

func stateNow(t *testing.T) state {
	t.Helper()
	list := func(patterns ...string) string {
		var all []string
		for _, p := range patterns {
			found, err := filepath.Glob(p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, found...)
		}
		return strings.Join(all, "\n")
	}
	var modules, mounts []string
	for line := range strings.Lines(tree("/").text("/proc/modules")) {
		modules = append(modules, strings.Fields(line)[0]) // counts of users come and go
	}
	own := fmt.Sprintf("checkconfig-%d", os.Getpid())
	for line := range strings.Lines(tree("/").text("/proc/self/mountinfo")) {
		if strings.Contains(line, own) {
			mounts = append(mounts, line)
		}
	}
	s := state{Modules: strings.Join(modules, "\n"), Mounts: strings.Join(mounts, ""), Links: list("/sys/class/net/probe-*"),
		Files:   list("/var/lib/."+own+"*", "./."+own+"*", "/sys/fs/cgroup/"+own+"*", "/sys/fs/cgroup/*/"+own+"*"),
		Sysctls: map[string]string{}}
	for _, name := range []string{"net/ipv4/ip_forward", "user/max_user_namespaces", "kernel/pid_max"} {
		s.Sysctls[name] = tree("/").text("/proc/sys/" + name)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s.FDs = len(fds)
	for _, task := range tree("/").glob("/proc/self/task/*/children") {
		s.Children += len(strings.Fields(tree("/").text(task)))
	}
	return s
}

func TestRunLeavesNothingBehind(t *testing.T) {
	if _, err := Run(Options{Use: All}); err != nil { // the poller's descriptors, once
		t.Fatal(err)
	}
	before := stateNow(t)
	for range 3 {
		if _, err := Run(Options{Use: All}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, stateNow(t)); diff != "" {
		t.Errorf("a run changed the host (-before +after):\n%s", diff)
	}
}

func TestRunLoadsNoModule(t *testing.T) {
	requireOrSkip(t, "modules")
	before := stateNow(t).Modules
	r, err := Run(Options{Use: All})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, stateNow(t).Modules); diff != "" {
		t.Errorf("/proc/modules changed:\n%s", diff)
	}
	for _, x := range r.Results {
		if strings.Contains(x.Detail, "available, not loaded") && x.Answer != Yes {
			t.Errorf("%s is available, and answers %s", x.ID, x.Answer)
		}
	}
}

// refusals are errnos that say nothing of what the kernel can do.
var refusals = []string{"EPERM", "EACCES"}

// noFalseAbsence holds for every report: what was refused is not missing.
func noFalseAbsence(t *testing.T, r *Report) {
	t.Helper()
	for _, x := range r.Results {
		if x.Answer != No || x.ID == "ns.user" { // which names the setting that refuses
			continue
		}
		for _, e := range x.Evidence {
			if slices.Contains(refusals, e.Errno) {
				t.Errorf("%s is said to be missing on the evidence of %s", x.ID, e)
			}
		}
	}
	if n := len(Checks()); len(r.Results) < n {
		t.Errorf("%d results of %d checks", len(r.Results), n)
	}
}

func TestEveryResultIsComplete(t *testing.T) {
	r, err := Run(Options{Use: All})
	if err != nil {
		t.Fatal(err)
	}
	noFalseAbsence(t, r)
	seen := map[string]bool{}
	for _, x := range r.Results {
		switch {
		case seen[x.ID]:
			t.Errorf("%s twice", x.ID)
		case x.Title == "" && !strings.HasPrefix(x.ID, "CONFIG_"), x.Group == "", x.Verdict == "", x.Answer == "":
			t.Errorf("%s is incomplete: %+v", x.ID, x)
		case x.Answer != Yes && x.Answer != NotRelevant && x.Detail == "":
			t.Errorf("%s answers %s and does not say why", x.ID, x.Answer)
		case len(x.Evidence) == 0 && x.Answer != NotRelevant && x.Answer != CannotTell:
			t.Errorf("%s answers %s without evidence", x.ID, x.Answer)
		case x.Verdict == Fail && x.Fix == "":
			t.Errorf("%s fails and names no fix", x.ID)
		}
		seen[x.ID] = true
	}
	options, err := kconfig.Options()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks() {
		for _, name := range c.Options {
			if _, ok := kconfig.Lookup(options, name); !ok {
				t.Errorf("%s depends on CONFIG_%s, which is not in the table of options", c.ID, name)
			}
		}
	}
	for name := range optionNeeds {
		if _, ok := kconfig.Lookup(options, name); !ok {
			t.Errorf("CONFIG_%s has needs of its own, and is not in the table of options", name)
		}
	}
	for _, row := range capabilityTable {
		for _, id := range slices.Concat(row.any...) {
			if !seen[id] {
				t.Errorf("the capability %q rests on %s, which is no check", row.name, id)
			}
		}
	}
}

func TestAsOrdinaryUser(t *testing.T) {
	requireOrSkip(t, "root")
	r := reportAs(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	noFalseAbsence(t, r)
	for _, x := range r.Results {
		if x.ID == "cgroup.memory" && x.Answer == Yes {
			t.Errorf("an ordinary user made a cgroup at the root: %s", x.Detail)
		}
	}
	if r.Host["user.euid"] != "65534" {
		t.Errorf("run as %s", r.Host["user.euid"])
	}
}

func TestInsideAContainer(t *testing.T) {
	requireOrSkip(t, "root")
	r := reportAs(t, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}})
	noFalseAbsence(t, r)
	i := slices.IndexFunc(r.Results, func(x Result) bool { return x.ID == "sec.no-container" })
	if r.Results[i].Answer != Partly {
		t.Errorf("in a pid namespace of its own it says %s: %s", r.Results[i].Answer, r.Results[i].Detail)
	}
}

// A probe and a configuration that belongs to the running kernel agree: what
// is built in works, for root outside a container, and what is off does not.
func TestProbesAgreeWithConfig(t *testing.T) {
	requireOrSkip(t, "root")
	h := newHost(Options{Use: All})
	config, err := h.config()
	if err != nil || h.contained != "none" || !h.privileged {
		t.Skip("needs the kernel's configuration, and privilege on the host itself")
	}
	for _, tt := range []struct{ id, option string }{
		{"ns.uts", "UTS_NS"}, {"ns.ipc", "IPC_NS"}, {"ns.pid", "PID_NS"}, {"ns.net", "NET_NS"}, {"ns.time", "TIME_NS"},
		{"net.veth", "VETH"}, {"net.bridge", "BRIDGE"}, {"net.vxlan", "VXLAN"}, {"net.macvlan", "MACVLAN"}, {"net.ipvlan", "IPVLAN"},
		{"net.dummy", "DUMMY"}, {"sys.seccomp", "SECCOMP_FILTER"}, {"fs.overlay", "OVERLAY_FS"}, {"fs.mqueue", "POSIX_MQUEUE"},
		{"fs.btrfs", "BTRFS_FS"}, {"dev.loop", "BLK_DEV_LOOP"}, {"dev.dm", "BLK_DEV_DM"}, {"sys.keyring", "KEYS"},
	} {
		checks := Checks()
		i := slices.IndexFunc(checks, func(c Check) bool { return c.ID == tt.id })
		o := checks[i].probe(h)
		switch config.Value(tt.option) {
		case "y":
			if o.Answer != Yes {
				t.Errorf("CONFIG_%s=y, and %s answers %s: %s %v", tt.option, tt.id, o.Answer, o.Detail, o.Evidence)
			}
		case "n", "":
			if o.Answer == Yes {
				t.Errorf("CONFIG_%s is off, and %s answers yes: %s %v", tt.option, tt.id, o.Detail, o.Evidence)
			}
		}
	}
}

func TestErrnoOutcomes(t *testing.T) {
	for _, tt := range []struct {
		err     error
		seccomp bool
		want    Answer
	}{
		{nil, false, Yes}, {unix.ENOSYS, false, No}, {unix.ENOSYS, true, CannotTell}, {unix.EPERM, false, CannotTell}, {unix.EACCES, true, CannotTell},
		{unix.EOPNOTSUPP, false, No}, {unix.EINVAL, false, No}, {unix.ENOSPC, false, No}, {fmt.Errorf("x: %w", fs.ErrPermission), false, CannotTell},
		{fmt.Errorf("open: %w", unix.EPERM), false, CannotTell},
	} {
		h := &host{tree: tree(t.TempDir()), seccomp: tt.seccomp, contained: "none"}
		o := h.fromErrno("call()", tt.err, "")
		if o.Answer != tt.want {
			t.Errorf("%v, seccomp %v: %s, want %s", tt.err, tt.seccomp, o.Answer, tt.want)
		}
		if tt.err != nil && o.Detail == "" {
			t.Errorf("%v gives no detail", tt.err)
		}
	}
}

// A run is cheap. How long it takes depends on the machine and on what else
// it does, what it allocates does not.
func TestRunIsCheap(t *testing.T) {
	run := func() {
		if _, err := Run(Options{Use: "docker"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(2, run); n > 30_000 {
		t.Errorf("a run makes %.0f allocations", n)
	}
}

func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		if _, err := Run(Options{Use: "docker"}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestScratchInAVanishedDirectory(t *testing.T) {
	h := newHost(Options{Use: "docker", Dir: filepath.Join(t.TempDir(), "not", "there")})
	defer h.cleanup.Wait() // an ordinary user may not remove what overlayfs leaves; the scratch can
	if o := overlayRoot(h); o.Answer == "" {
		t.Error("no answer")
	}
	h.dir = "/proc"
	h.scratch = h.tryDirectory
	if o := reflink(h); o.Answer == Yes || errors.Is(h.scratch().made, nil) {
		t.Errorf("a scratch directory in /proc: %s", o.Answer)
	}
}
