package isolate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"plimsoll/isolate/launch"
)

func init() {
	acts["namespaces"] = func() error {
		for _, n := range entered {
			if n.ns == UserNS { // who it is of may not be asked
				continue
			}
			own, err := os.Readlink("/proc/self/ns/" + n.file)
			first, firstErr := os.Readlink("/proc/1/ns/" + n.file)
			fmt.Println(n.file, own == first, err, firstErr)
		}
		return nil
	}
}

// exec runs an act in the container and gives what it printed.
func (f *fixture) exec(c *Container, act string) string {
	f.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	proc, err := c.Exec(f.t.Context(), Exec{Path: "/act", Env: actEnv(act), Stdout: w, Stderr: os.Stderr, NewSession: true})
	w.Close()
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	if exit, err := proc.Wait(); err != nil || !exit.OK() {
		f.t.Fatalf("exec %s: %v, %v\n%s", act, exit, err, text)
	}
	return string(text)
}

func TestExec(t *testing.T) {
	f := newFixture(t)
	c := f.ready("wait", func(s *Spec) {
		if f.mayTimeNamespace() {
			s.Namespaces |= Time
		}
	})
	got := f.exec(c, "show")
	wants(t, got, "uid 0 host inside", "/: act data dev ", "/proc/self/fd: 0 1 2 ",
		"CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "NoNewPrivs:\t1",
		"write /sys/kernel/x open /sys/kernel/x: read-only file system", ":/\n") // its group, as the cgroup namespace shows it
	if strings.Contains(got, "pid 1 ") {
		t.Errorf("the program is the first of a pid namespace:\n%s", got)
	}
	got = f.exec(c, "namespaces")
	if strings.Count(got, " true <nil> <nil>\n") != len(entered)-1 {
		t.Errorf("not all namespaces are those of the container's first process:\n%s", got)
	}
}

// TestExecIsHardened: a program that comes later has the filter of the first.
func TestExecIsHardened(t *testing.T) {
	f := newFixture(t)
	c := f.ready("wait", func(s *Spec) { *s = mustHarden(t, *s) })
	wants(t, f.exec(c, "show"), "Seccomp:\t2\n", "NoNewPrivs:\t1")
}

// TestStopWithExec has a program run beside the first one, which the kernel
// lets end only when the other is reaped.
func TestStopWithExec(t *testing.T) {
	f := newFixture(t)
	c := f.ready("wait", nothing)
	proc, err := c.Exec(t.Context(), Exec{Path: "/act", Env: actEnv("deaf")})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if exit, err := c.Stop(t.Context(), 10*time.Second); err != nil || exit.Signal != 0 || time.Since(begin) > 5*time.Second {
		t.Errorf("stop: %v, %v after %v", exit, err, time.Since(begin))
	}
	if exit, err := proc.Wait(); err != nil || exit.Signal != syscall.SIGKILL {
		t.Errorf("the program beside: %v, %v", exit, err)
	}
	if _, err := c.Exec(t.Context(), Exec{Path: "/act"}); !errors.Is(err, launch.ErrEnded) {
		t.Errorf("exec into a container that has ended: %v", err)
	}
}

func TestExecIsRefused(t *testing.T) {
	f := newFixture(t)
	c := f.ready("wait", nothing)
	for _, tt := range []struct{ path, want string }{
		{"act", "exec act: the path must be absolute"},
		{"/missing", "exec /missing: check program /missing: openat2: ENOENT"},
	} {
		if _, err := c.Exec(t.Context(), Exec{Path: tt.path}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
	if err := c.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), Exec{Path: "/act"}); err == nil || !strings.Contains(err.Error(), "thaw it first") {
		t.Errorf("exec into a frozen container: %v", err)
	}
	if exit, err := c.Stop(t.Context(), 10*time.Second); err != nil || exit.Signal != 0 {
		t.Errorf("stop of a frozen container: %v, %v", exit, err)
	}
}

func TestRestart(t *testing.T) {
	f := newFixture(t)
	c := f.ready("wait", nothing)
	if err := c.Freeze(t.Context()); err != nil { // on v1, this makes one more cgroup to be joined
		t.Fatal(err)
	}
	if err := c.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := c.PID()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	c.spec.Stdout = w
	if err := c.Restart(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, len("ready\n"))); err != nil || c.PID() == before {
		t.Errorf("after its restart the container is process %d, before %d: %v", c.PID(), before, err)
	}
	if err := c.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, ended, err := c.proc.WaitFor(50 * time.Millisecond); ended || err != nil {
		t.Errorf("frozen after its restart, the container took a signal: %v", err)
	}
}
