package isolate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

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

// TestLockedMountFlagsOfPaths: parts of what is bound can be made read-only too,
// where that has flags of its own and where the root's are the ones.
func TestLockedMountFlagsOfPaths(t *testing.T) {
	f := newFixture(t)
	root, data := t.TempDir(), t.TempDir()
	for dir, flags := range map[string]uintptr{root: unix.MS_NOSUID | unix.MS_NODEV, data: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", flags, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err := os.CopyFS(root, os.DirFS(f.image)); err != nil {
		t.Fatal(err)
	}
	open(t, root)
	for _, path := range []string{root + "/act", root + "/x", data + "/x"} {
		f, err := os.OpenFile(path, os.O_CREATE, 0)
		if err := errors.Join(err, f.Close(), os.Chmod(path, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	got := f.output(func(s *Spec) {
		s.Namespaces |= UserNS
		s.UIDMap = []IDMap{{0, 200000, 65536}}
		s.GIDMap = s.UIDMap
		s.Root = &Root{Path: root}
		s.Mounts = []Mount{{Source: data, Target: "/data"}}
		s.ReadOnlyPaths = []string{"/x", "/data/x"}
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
	// Long enough for the kernel to take back in later periods what a group had
	// too much where ticks come late, as in a machine that its host does not run
	// at all times (sched-bwc.rst).
	begin := time.Now()
	time.Sleep(2 * time.Second)
	u, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	share := (u.CPU.Total.Value - before.CPU.Total.Value) / time.Since(begin).Seconds()
	if u.CPU.Throttled.Value == 0 || !u.CPU.Total.Known || share > 0.35 {
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
