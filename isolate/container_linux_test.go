package isolate

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// The program inside the containers of these tests is the test binary itself,
// copied into their root: it runs the act that PLIMSOLL_ACT names.
func TestMain(m *testing.M) {
	if act := os.Getenv("PLIMSOLL_ACT"); act != "" {
		if err := acts[act](); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var acts = map[string]func() error{
	"true": func() error { return nil },
	"show": show,
	"wait": func() error {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		return nil
	},
	"deaf": func() error {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		for {
			time.Sleep(time.Hour)
		}
	},
	"spin": func() error {
		fmt.Println("ready")
		for n := 0; ; n++ {
			if n < 0 {
				return errors.New("the loop has run over")
			}
		}
	},
	"eat": func() error {
		var kept [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			kept = append(kept, b)
			_ = kept
		}
	},
}

// show prints what a container is to see of itself.
func show() error {
	host, _ := os.Hostname()
	fmt.Println("pid", os.Getpid(), "uid", os.Getuid(), "host", host)
	for _, dir := range []string{"/", "/dev", "/proc/self/fd"} {
		list, err := os.ReadDir(dir)
		fmt.Print(dir, ":")
		for _, e := range list {
			if dir != "/proc/self/fd" || !strings.Contains(link(dir, e.Name()), "/proc/") { // the directory being read
				if !strings.Contains(link(dir, e.Name()), "anon_inode") { // the Go runtime's own epoll and eventfd
					fmt.Print(" ", e.Name())
				}
			}
		}
		fmt.Println("", err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Seccomp:") || strings.HasPrefix(line, "Groups") {
			fmt.Print(line)
		}
	}
	for _, f := range []string{"/sys/kernel/x", "/data/x", "/x", "/dev/null"} {
		fmt.Println("write", f, os.WriteFile(f, []byte("x"), 0o644))
	}
	group, err := os.ReadFile("/proc/self/cgroup")
	fmt.Printf("cgroup %s%v\n", group, err)
	return nil
}

func link(dir, name string) string {
	to, _ := os.Readlink(filepath.Join(dir, name))
	return to
}

// fixture is an engine with a run's cgroup, and a root that holds the test
// binary. Nothing of it may be left when the test ends.
type fixture struct {
	*Engine
	t     *testing.T
	image string
	n     int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	needRoot(t)
	return newFixtureWithout(t, 0, makeTestImage(t))
}

// newFixtureWithout is a fixture whose engine does without some features of
// the kernel.
func newFixtureWithout(t *testing.T, missing launch.Features, image string) *fixture {
	t.Helper()
	before := snapshot(t)
	host, err := cgroup.Detect("/")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test-%d-%s", os.Getpid(), strings.ReplaceAll(strings.ReplaceAll(t.Name(), "/", "-"), "#", "-"))
	run, err := host.NewRun(name)
	if err != nil && os.Getuid() == 0 { // an ordinary user may have no group delegated
		need(t, "cgroup", false)
	}
	e, err := newEngine(run, launch.MissingFeatures()|missing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if run != nil {
			if err := run.Remove(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		for _, path := range host.RunPaths(name) {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("cgroup %s is left: %v", path, err)
			}
		}
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("left behind (-before +after):\n%s", diff)
		}
	})
	return &fixture{Engine: e, t: t, image: image}
}

func makeTestImage(t *testing.T) string {
	t.Helper()
	image := t.TempDir()
	for _, d := range []string{"proc", "sys", "dev", "data", "tmp"} {
		if err := os.Mkdir(filepath.Join(image, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, image+"/act", "/proc/self/exe")
	copyLibraries(t, image)
	return image
}

// copyLibraries makes a test binary that is linked dynamically, as -race needs
// it, run in the image.
func copyLibraries(t *testing.T, image string) {
	t.Helper()
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	interp := self.Section(".interp")
	if interp == nil {
		return
	}
	loader, err := interp.Data()
	if err != nil {
		t.Fatal(err)
	}
	files := []string{strings.TrimRight(string(loader), "\x00")}
	libraries, err := self.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, lib := range libraries {
		found, _ := filepath.Glob("/lib/*-linux-gnu/" + lib)
		files = append(files, found...)
	}
	for _, file := range files {
		if err := os.MkdirAll(filepath.Dir(image+file), 0o755); err != nil {
			t.Fatal(err)
		}
		copyFile(t, image+file, file)
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// snapshot is what a container might leave.
func snapshot(t *testing.T) map[string]int {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil {
		tasks = nil // CONFIG_PROC_CHILDREN is off
	}
	return map[string]int{
		"mounts":      bytes.Count(mounts, []byte(filepath.Dir(t.TempDir()))), // those of others come and go
		"descriptors": len(descriptors(t)),
		"children":    len(strings.Fields(string(tasks))),
	}
}

func descriptors(t *testing.T) []os.DirEntry {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// actEnv asks for an act. A program with the race detector would sleep for a
// second before its end.
func actEnv(act string) []string {
	return []string{"PLIMSOLL_ACT=" + act, "GORACE=atexit_sleep_ms=0"}
}

// spec is a whole container that does an act.
func (f *fixture) spec(act string, out *os.File) Spec {
	f.t.Helper()
	f.n++
	caps := DockerDefault
	return Spec{
		Path: "/act", Env: actEnv(act), Stdout: out, Stderr: os.Stderr,
		Namespaces: AllSix, Root: f.overlay(), Proc: true, Sys: true, Dev: true, Hostname: "inside", Loopback: true,
		NoNewPrivs: true, Capabilities: &caps, NewSession: true, Group: fmt.Sprintf("c%d", f.n),
	}
}

func (f *fixture) overlay() *Root {
	dir := f.t.TempDir()
	for _, d := range []string{"merged", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			f.t.Fatal(err)
		}
	}
	return &Root{Path: dir + "/merged", Overlay: &Overlay{Lower: []string{f.image}, Upper: dir + "/upper", Work: dir + "/work"}}
}

func (f *fixture) start(spec Spec) *Container {
	f.t.Helper()
	c, err := f.Create(spec)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := c.Remove(context.Background()); err != nil {
			f.t.Error(err)
		}
	})
	if err := c.Start(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// output runs the act and gives what it printed.
func (f *fixture) output(change func(*Spec)) string {
	f.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	spec := f.spec("show", w)
	change(&spec)
	c := f.start(spec)
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	if exit, err := c.Wait(f.t.Context()); err != nil || !exit.OK() {
		f.t.Fatalf("%v, %v\n%s", exit, err, text)
	}
	return string(text)
}

// ready starts a container and waits until it has said so.
func (f *fixture) ready(act string, change func(*Spec)) *Container {
	f.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	spec := f.spec(act, w)
	change(&spec)
	c := f.start(spec)
	w.Close()
	if n, err := io.ReadFull(r, make([]byte, len("ready\n"))); err != nil {
		f.t.Fatalf("%s: %d bytes of its ready: %v", act, n, err)
	}
	return c
}

func nothing(*Spec) {}

func wants(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("inside the container, %q is missing in:\n%s", want, text)
		}
	}
}

func TestWholeContainer(t *testing.T) {
	f := newFixture(t)
	got := f.output(nothing)
	wants(t, got,
		"pid 1 uid 0 host inside",
		"/: act data dev ", " proc sys tmp",
		"/dev: fd full null ptmx pts random shm stderr stdin stdout tty urandom zero",
		"/proc/self/fd: 0 1 2 ",
		"CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1",
		"write /sys/kernel/x open /sys/kernel/x: read-only file system",
		"write /x <nil>", "write /dev/null <nil>",
		":/\n") // its own group is the root of its cgroup namespace
	if _, err := os.Stat(f.image + "/x"); err == nil {
		t.Error("a write in the container came through to its image")
	}
}

// TestCgroupNamespaceRoot has a container in a group by birth and one that
// joins groups: neither sees where on the host they are.
func TestCgroupNamespaceRoot(t *testing.T) {
	f := newFixture(t)
	for _, limits := range []cgroup.Limits{{}, {PIDs: 100}} {
		got := f.output(func(s *Spec) { s.Limits = limits })
		if _, groups, _ := strings.Cut(got, "cgroup "); !strings.Contains(groups, ":/\n") || strings.Contains(groups, "plimsoll") {
			t.Errorf("with limits %+v the container sees\n%s", limits, groups)
		}
	}
}

func TestReadOnlyBindRootAndMounts(t *testing.T) {
	f := newFixture(t)
	data := f.t.TempDir()
	got := f.output(func(s *Spec) {
		s.Root = &Root{Path: f.image, ReadOnly: true}
		s.Mounts = []Mount{{Source: data, Target: "/data"}, {Type: "tmpfs", Target: "/tmp"}}
	})
	wants(t, got, "write /x open /x: read-only file system", "write /data/x <nil>")
	if _, err := os.Stat(data + "/x"); err != nil {
		t.Errorf("the write to the mounted directory did not arrive: %v", err)
	}
}

func TestLinkInRootLeadsInside(t *testing.T) {
	f := newFixture(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, f.image+"/link"); err != nil {
		t.Fatal(err)
	}
	spec := f.spec("true", nil)
	spec.Mounts = []Mount{{Type: "tmpfs", Target: "/link"}}
	c, err := f.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove(t.Context())
	if err := c.Start(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a mount on a link out of the root: %v, want ENOENT", err)
	}
}

func TestUserNamespace(t *testing.T) {
	need(t, "userns-overlay", !launch.MissingFeatures().Has(launch.UserOverlay))
	f := newFixture(t)
	got := f.output(f.mapUsers)
	wants(t, got, "pid 1 uid 0", "write /x <nil>", "write /dev/null <nil>", "Groups:\t \n")
}

// mapUsers gives the container a user namespace, and the ids in it its root.
func (f *fixture) mapUsers(s *Spec) {
	chmod(f.t, f.image)
	s.Namespaces |= UserNS
	s.UIDMap = []IDMap{{0, 200000, 65536}}
	s.GIDMap = s.UIDMap
	for dir := s.Root.Path; dir != "/"; dir = filepath.Dir(dir) {
		chmod(f.t, dir)
	}
	for _, dir := range []string{s.Root.Overlay.Upper, s.Root.Overlay.Work} {
		if err := os.Chown(dir, 200000, 200000); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestLockedMountFlags binds from a file system with flags that a user
// namespace may not drop, as /tmp and /home have them on many hosts.
func TestLockedMountFlags(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := os.CopyFS(dir, os.DirFS(f.image)); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if err := os.Chmod(dir+"/act", 0o755); err != nil {
		t.Fatal(err)
	}
	got := f.output(func(s *Spec) {
		s.Namespaces |= UserNS
		s.UIDMap = []IDMap{{0, 200000, 65536}}
		s.GIDMap = s.UIDMap
		s.Root = &Root{Path: dir, ReadOnly: true}
		s.Mounts = []Mount{{Source: dir, Target: "/data", ReadOnly: true}}
	})
	wants(t, got, "write /x open /x: read-only file system", "write /data/x open /data/x: read-only file system")
}

// chmod lets the user namespace's ids through the directories of the test.
func chmod(t *testing.T, dir string) {
	t.Helper()
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm()&0o055 != 0 {
		return
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestTimeNamespace(t *testing.T) {
	f := newFixture(t)
	host, err := os.Readlink("/proc/self/ns/time")
	need(t, "timens", err == nil)
	c := f.ready("wait", func(s *Spec) { s.Namespaces |= Time })
	if inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/time", c.PID())); err != nil || inside == host {
		t.Errorf("the container is in %s, %v, the host in %s", inside, err, host)
	}
}

func TestTimeOffset(t *testing.T) {
	f := newFixture(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	spec := f.spec("clock", w)
	spec.Namespaces |= Time
	spec.TimeOffset = 1000 * time.Hour
	if f.Missing().Has(launch.TimeExec) {
		if _, err := f.Create(spec); err == nil || !strings.Contains(err.Error(), "6.3") {
			t.Errorf("got %v, want a refusal", err)
		}
		return
	}
	c := f.start(spec)
	w.Close()
	var inside int64
	if _, err := fmt.Fscan(r, &inside); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(t.Context()); err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	ahead := time.Duration(inside - monotonic())
	if ahead < 999*time.Hour || ahead > 1001*time.Hour {
		t.Errorf("the clock inside is ahead by %v, want 1000h", ahead)
	}
}

func monotonic() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

func init() { acts["clock"] = func() error { _, err := fmt.Println(monotonic()); return err } }

func TestStop(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		act    string
		grace  time.Duration
		signal syscall.Signal
	}{{"wait", 10 * time.Second, 0}, {"deaf", 50 * time.Millisecond, syscall.SIGKILL}} {
		c := f.ready(tt.act, nothing)
		begin := time.Now()
		exit, err := c.Stop(t.Context(), tt.grace)
		if err != nil || exit.Signal != tt.signal {
			t.Errorf("stop %s: %v, %v", tt.act, exit, err)
		}
		if took := time.Since(begin); tt.signal == 0 && took > 5*time.Second {
			t.Errorf("stop %s took %v", tt.act, took)
		}
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	f := newFixture(t)
	c := f.ready("deaf", nothing)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	exit, err := c.Wait(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || exit.Signal != syscall.SIGKILL {
		t.Errorf("%v, %v", exit, err)
	}
}

func TestFreeze(t *testing.T) {
	f := newFixture(t)
	c := f.ready("spin", func(s *Spec) { s.Account = []cgroup.Controller{cgroup.CPU} })
	cpu := func() float64 {
		u, err := c.Usage()
		if err != nil || !u.CPU.Total.Known {
			t.Fatal(u, err)
		}
		return u.CPU.Total.Value
	}
	if err := c.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := cpu()
	time.Sleep(60 * time.Millisecond)
	if used := cpu() - before; used > 0.005 {
		t.Errorf("a frozen container used %.3f s of CPU", used)
	}
	if err := c.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	before = cpu()
	for deadline := time.Now().Add(10 * time.Second); cpu()-before < 0.005; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a thawed container does not run")
		}
	}
}

func TestMemoryLimitKills(t *testing.T) {
	f := newFixture(t)
	spec := f.spec("eat", nil)
	limitMemory(&spec, 32<<20)
	c := f.start(spec)
	exit, err := c.Wait(t.Context())
	if err != nil || exit.Signal != syscall.SIGKILL {
		t.Fatal(exit, err)
	}
	if u, err := c.Usage(); err != nil || u.Memory.OOMKills.Value < 1 {
		t.Errorf("usage %+v, %v: no OOM kill counted", u.Memory, err)
	}
}

// limitMemory lets nothing go to swap, where there is any, so that the limit
// bites at once.
func limitMemory(s *Spec, limit int64) {
	s.Limits.Memory = limit
	if swaps, _ := os.ReadFile("/proc/swaps"); bytes.Count(swaps, []byte("\n")) > 1 {
		s.Limits.Swap = cgroup.NoSwap
	}
}

func TestCPULimitThrottles(t *testing.T) {
	f := newFixture(t)
	c := f.ready("spin", func(s *Spec) {
		s.Limits.CPU = 0.2
		s.Account = []cgroup.Controller{cgroup.CPU}
	})
	before, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	time.Sleep(500 * time.Millisecond)
	u, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	// Unlimited it would be 1. The quota is handed out in slices of 5 ms a CPU,
	// and overrun by a clock tick, which in an emulated machine is long.
	share := (u.CPU.Total.Value - before.CPU.Total.Value) / time.Since(begin).Seconds()
	if u.CPU.Throttled.Value == 0 || !u.CPU.Total.Known || share > 0.6 {
		t.Errorf("a fifth of a CPU was to be had: used %.2f of one, throttled %v times", share, u.CPU.Throttled.Value)
	}
}

func TestTinyMemoryLimitIsExplained(t *testing.T) {
	f := newFixture(t)
	spec := f.spec("true", nil)
	limitMemory(&spec, 512<<10)
	c, err := f.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove(t.Context())
	err = c.Start(t.Context())
	if err == nil {
		exit, waitErr := c.Wait(t.Context())
		if exit.OK() || waitErr != nil {
			t.Fatalf("a Go program ran in 512 KiB: %v, %v", exit, waitErr)
		}
		return // the limit bit only after execve
	}
	if !strings.Contains(err.Error(), "memory limit") {
		t.Errorf("%v does not tell of the memory limit", err)
	}
}

func TestVanishedCgroupIsNamed(t *testing.T) {
	f := newFixture(t)
	spec := f.spec("true", nil)
	spec.Limits.PIDs = 10
	c, err := f.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.group.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "plimsoll-") {
		t.Errorf("got %v, want the path of the cgroup", err)
	}
	if err := c.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBadRootsAreNamed(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Root = &Root{Path: "/nonexistent"} }, "bind root on /nonexistent: mount: ENOENT"},
		{func(s *Spec) { s.Root.Overlay.Lower = []string{"/nonexistent"} }, "CONFIG_OVERLAY_FS"},
		{func(s *Spec) { s.Path = "/missing" }, "check program /missing: openat2: ENOENT"},
		{func(s *Spec) { s.Dir = "/missing" }, "chdir /missing: chdir: ENOENT"},
		{func(s *Spec) { s.Mounts = []Mount{{Source: "/nonexistent", Target: "/data"}} }, "is /nonexistent there?"},
	} {
		spec := f.spec("true", nil)
		tt.change(&spec)
		c, err := f.Create(spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
		if err := c.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestBareProcess(t *testing.T) {
	f := newFixture(t)
	c := f.start(Spec{Path: f.image + "/act", Env: actEnv("true")})
	if exit, err := c.Wait(t.Context()); err != nil || !exit.OK() {
		t.Error(exit, err)
	}
	if _, err := c.Usage(); err == nil {
		t.Error("a process of the run's group gave usage as its own")
	}
}
