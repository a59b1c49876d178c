package launch

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// program runs path on /dev/null.
func program(path string, args ...string) *Program { return programWithout(0, path, args...) }

// programWithout does without some features of the kernel.
func programWithout(missing Features, path string, args ...string) *Program {
	null := int(devNull.Fd())
	p := New([3]int{null, null, null})
	p.Descriptors(missing)
	p.Exec(path, append([]string{path}, args...), nil)
	return p
}

// prepend makes operations come before those of p.
func prepend(p *Program, add func(*Program)) *Program {
	first := New(p.Files)
	add(first)
	p.Ops = append(first.Ops, p.Ops...)
	return p
}

var devNull, _ = os.OpenFile(os.DevNull, os.O_RDWR, 0)

func start(t *testing.T, l *Launcher, p *Program) *Process {
	t.Helper()
	proc, err := l.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return proc
}

// withoutEach runs a test with all features of the kernel, without each of
// them, and without all.
func withoutEach(t *testing.T, test func(t *testing.T, missing Features)) {
	all := Feature{Name: "all"}
	for _, k := range KnownFeatures {
		all.Bit |= k.Bit
	}
	for _, k := range append([]Feature{{Name: "none"}, all}, KnownFeatures...) {
		t.Run(k.Name, func(t *testing.T) { test(t, k.Bit|MissingFeatures()) })
	}
}

func TestStartReportsExit(t *testing.T) { withoutEach(t, testStartReportsExit) }

func testStartReportsExit(t *testing.T, missing Features) {
	l := Launcher{Missing: missing}
	defer l.Close()
	for _, tt := range []struct {
		script string
		want   Exit
	}{
		{"exit 0", Exit{}},
		{"exit 7", Exit{Code: 7}},
		{"kill -KILL $$", Exit{Code: -1, Signal: syscall.SIGKILL}},
	} {
		exit, ended, err := start(t, &l, programWithout(missing, "/bin/sh", "-c", tt.script)).WaitFor(10 * time.Second)
		if !ended || err != nil || exit.Code != tt.want.Code || exit.Signal != tt.want.Signal {
			t.Errorf("%s: %v, %v, want %v", tt.script, exit, err, tt.want)
		}
	}
}

func TestPhasesAreInOrder(t *testing.T) {
	var l Launcher
	defer l.Close()
	proc := start(t, &l, program("/bin/true"))
	exit, _ := proc.Wait()
	want := []string{"clone", "descriptors", "execve"}
	at := proc.Requested
	for i, ph := range proc.Phases {
		if ph.Name != want[i] || ph.Begin < at || ph.Begin > exit.At {
			t.Errorf("phase %d is %s at %d after %d, want %s", i, ph.Name, ph.Begin, at, want[i])
		}
		at = ph.Begin
	}
	if len(proc.Phases) != len(want) {
		t.Errorf("phases %v, want %v", proc.Phases, want)
	}
}

func TestFailureNamesOperation(t *testing.T) {
	var l Launcher
	defer l.Close()
	before := countFDs(t)
	missing := prepend(program("/bin/true"), func(p *Program) {
		p.Add(Op{Phase: "enter", Object: "/nonexistent", Call: unix.SYS_CHDIR, Hint: "make it"}, String("/nonexistent"))
	})
	for _, p := range []*Program{program("/nonexistent/program"), missing} {
		_, err := l.Start(t.Context(), p)
		var op *OpError
		if !errors.As(err, &op) || !errors.Is(err, syscall.ENOENT) || op.Op.Object == "" || !strings.Contains(err.Error(), "hint: "+op.Op.Hint) {
			t.Errorf("got %v, want ENOENT, its operation and its hint", err)
		}
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child that could not be launched is left: wait4: %v", err)
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestChildGetsNothingElse(t *testing.T) { withoutEach(t, testChildGetsNothingElse) }

func testChildGetsNothingElse(t *testing.T, missing Features) {
	l := Launcher{Missing: missing}
	defer l.Close()
	leak, err := os.Open("/etc/passwd") // O_CLOEXEC, but duplicated without it:
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	fd, err := unix.Dup(int(leak.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for range 100 { // more than one reading of /proc/self/fd lists
		fd, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := New([3]int{int(devNull.Fd()), int(w.Fd()), int(devNull.Fd())})
	p.Descriptors(missing)
	script := "n=0; while test $n -lt 200; do test -e /proc/$$/fd/$n && echo $n; n=$((n+1)); done; " +
		"while read name value; do case $name in SigBlk:) echo $name $value;; esac; done </proc/$$/status" // a fork would block them
	p.Exec("/bin/sh", []string{"sh", "-c", script}, nil)
	proc := start(t, &l, p)
	w.Close()
	out, _ := io.ReadAll(r)
	proc.Wait()
	if got, want := strings.Fields(string(out)), []string{"0", "1", "2", "SigBlk:", "0000000000000000"}; !slices.Equal(got, want) {
		t.Errorf("the child has descriptors and blocked signals %v, want %v", got, want)
	}
}

func TestNULIsRefused(t *testing.T) {
	var l Launcher
	defer l.Close()
	if _, err := l.Start(t.Context(), program("/bin/true", "a\x00b")); err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("got %v", err)
	}
}

// TestDeadlineEndsStalledCall has the child open a FIFO that nobody writes
// to: the thread that launches hangs in vfork until the child is killed.
func TestDeadlineEndsStalledCall(t *testing.T) {
	var l Launcher
	defer l.Close()
	forks := prepend(stalled(t), (*Program).Fork)
	forks.CopyMemory = true
	for _, p := range []*Program{stalled(t), forks} {
		testDeadline(t, &l, p)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: wait4: %v", err)
	}
}

func testDeadline(t *testing.T, l *Launcher, p *Program) {
	t.Helper()
	// A slow machine may not even come to the operation.
	for patience := 50 * time.Millisecond; ; patience *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := l.Start(ctx, p)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "stall") {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) || patience > time.Second {
			t.Errorf("got %v after %v, want the deadline and the operation", err, patience)
			return
		}
	}
}

func stalled(t *testing.T) *Program {
	fifo := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return prepend(program("/bin/true"), func(p *Program) {
		p.Add(Op{Phase: "stall", Object: fifo, Call: unix.SYS_OPENAT}, CurrentDir, String(fifo), Number(unix.O_RDONLY), Number(0))
	})
}

// TestLaunchDuringCollection launches children that wait for id maps, and one
// that never gets on, while the collector runs without pause on one P: with a
// vfork that kept its P, this hangs.
func TestLaunchDuringCollection(t *testing.T) {
	if os.Getuid() != 0 {
		if strings.Contains(os.Getenv("PLIMSOLL_REQUIRE"), "root") {
			t.Fatal("mapping ids needs root, which PLIMSOLL_REQUIRE promises")
		}
		t.Skip("mapping ids needs root")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var l Launcher
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	p := stalled(t)
	wg.Go(func() {
		if _, err := l.Start(ctx, p); !errors.Is(err, context.Canceled) {
			t.Errorf("stalled launch: %v", err)
		}
	})
	for range 200 {
		p := prepend(program("/bin/true"), (*Program).AwaitMaps)
		p.Flags = unix.CLONE_NEWUSER
		p.IDMaps = &IDMaps{UID: "0 100000 65536\n", GID: "0 100000 65536\n"}
		if exit, err := start(t, &l, p).Wait(); err != nil || !exit.OK() {
			t.Fatalf("%v, %v", exit, err)
		}
	}
	cancel()
	close(stop)
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestBadMapsEndTheChild(t *testing.T) {
	var l Launcher
	defer l.Close()
	p := prepend(program("/bin/true"), (*Program).AwaitMaps)
	p.Flags = unix.CLONE_NEWUSER
	p.IDMaps = &IDMaps{UID: "nonsense\n", GID: "0 0 1\n"}
	if _, err := l.Start(t.Context(), p); err == nil || !strings.Contains(err.Error(), "uid_map") {
		t.Errorf("got %v", err)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: wait4: %v", err)
	}
}

func TestCopiedMemory(t *testing.T) {
	var l Launcher
	defer l.Close()
	p := program("/bin/sh", "-c", "exit 3")
	p.CopyMemory = true
	if exit, err := start(t, &l, p).Wait(); err != nil || exit.Code != 3 {
		t.Errorf("%v, %v", exit, err)
	}
}

// TestFork has the child's own child execute the program: that one is whom
// the harness waits for, and nothing of the other is left.
func TestFork(t *testing.T) { withoutEach(t, testFork) }

func testFork(t *testing.T, missing Features) {
	l := Launcher{Missing: missing}
	defer l.Close()
	for _, tt := range []struct {
		path string
		want error
	}{{"/bin/sh", nil}, {"/nonexistent", syscall.ENOENT}} {
		p := prepend(programWithout(missing, tt.path, "-c", "exit 3"), (*Program).Fork)
		p.CopyMemory, p.CopyFiles = true, missing.Has(CloseRange)
		proc, err := l.Start(t.Context(), p)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.path, err, tt.want)
		}
		if err == nil {
			if exit, err := proc.Wait(); err != nil || exit.Code != 3 {
				t.Errorf("%v, %v", exit, err)
			}
		}
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != syscall.ECHILD {
			t.Errorf("a child is left: wait4: %v", err)
		}
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func BenchmarkBare(b *testing.B) {
	var l Launcher
	defer l.Close()
	p := program("/bin/true")
	for b.Loop() {
		proc, err := l.Start(context.Background(), p)
		if err != nil {
			b.Fatal(err)
		}
		proc.Wait()
	}
}

func BenchmarkEncode(b *testing.B) {
	p := program("/bin/true")
	for range 50 {
		p.WriteFile("file", "/some/path/of/usual/length", "0", "")
	}
	var s slot
	var c code
	for b.Loop() {
		if err := c.encode(p, &s); err != nil {
			b.Fatal(err)
		}
	}
}
