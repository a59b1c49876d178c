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

// program runs path on the harness's own standard descriptors.
func program(path string, args ...string) *Program {
	null := int(devNull.Fd())
	p := New([3]int{null, null, null})
	p.Descriptors()
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

func TestStartReportsExit(t *testing.T) {
	var l Launcher
	defer l.Close()
	for _, tt := range []struct {
		script string
		want   Exit
	}{
		{"exit 0", Exit{}},
		{"exit 7", Exit{Code: 7}},
		{"kill -KILL $$", Exit{Code: -1, Signal: syscall.SIGKILL}},
	} {
		exit, err := start(t, &l, program("/bin/sh", "-c", tt.script)).Wait()
		if err != nil || exit.Code != tt.want.Code || exit.Signal != tt.want.Signal {
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

func TestChildGetsNothingElse(t *testing.T) {
	var l Launcher
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
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := New([3]int{int(devNull.Fd()), int(w.Fd()), int(devNull.Fd())})
	p.Descriptors()
	script := "for n in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$n && echo $n; done; while read k v; do case $k in SigBlk:) echo $k $v; esac; done < /proc/self/status"
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
	p := stalled(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := l.Start(ctx, p)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stall") {
		t.Errorf("got %v, want the deadline and the operation", err)
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
