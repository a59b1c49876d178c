package isolate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"plimsoll/isolate/launch"
)

// ordinary is the uid and gid of the user that root becomes for these tests.
// On a machine of ours he has ranges of ids; on any other he is nobody's.
const ordinary = 1000

// TestRootless makes containers as an ordinary user: as root, it runs the test
// binary again as one.
func TestRootless(t *testing.T) {
	if os.Getuid() == 0 {
		again(t)
		return
	}
	need(t, "userns", mayMakeUserNamespace())
	image := makeTestImage(t)
	open(t, image)
	ids := FindIDs()
	t.Log(ids)
	one := IDs{UID: ids.UID[:1], GID: ids.GID[:1]}
	t.Run("one id", func(t *testing.T) {
		f := newFixtureWithout(t, 0, image)
		got := f.output(func(s *Spec) { f.rootless(s, one) })
		wants(t, got, "pid 1 uid 0 host inside", "/: act data dev ", " proc sys tmp",
			"/dev: fd full null ptmx pts random shm stderr stdin stdout tty urandom zero", "/proc/self/fd: 0 1 2 ",
			"CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "NoNewPrivs:\t1",
			"write /x <nil>", "write /dev/null <nil>", ":/\n")
		if !strings.Contains(got, "write /sys/kernel/x open /sys/kernel/x: read-only file system") {
			t.Errorf("sysfs can be written:\n%s", got)
		}
		testRootlessLife(t, f, one)
	})
	t.Run("no network namespace", func(t *testing.T) {
		f := newFixtureWithout(t, 0, image)
		got := f.output(func(s *Spec) {
			f.rootless(s, one)
			s.Namespaces &^= Net
			s.Loopback = false
		})
		wants(t, got, "pid 1 uid 0", "write /sys/kernel/x open /sys/kernel/x: read-only file system")
	})
	t.Run("ranges", func(t *testing.T) {
		need(t, "subuid", ids.Note == "")
		f := newFixtureWithout(t, 0, image)
		got := f.output(func(s *Spec) {
			f.rootless(s, ids)
			s.User = &User{UID: 1000, GID: 1000, Groups: []uint32{4, 5}}
		})
		wants(t, got, "pid 1 uid 1000", "Groups:\t4 5 \n", "CapEff:\t0000000000000000")
		testRootlessLife(t, f, ids)
	})
	t.Run("limits", func(t *testing.T) {
		f := newFixtureWithout(t, 0, image)
		spec := f.spec("true", nil)
		f.rootless(&spec, one)
		spec.Limits.PIDs, spec.Group = 50, "limited"
		if f.run == nil {
			if _, err := f.Create(spec); err == nil || !strings.Contains(err.Error(), "Delegate=yes") {
				t.Errorf("limits without a cgroup: %v, want to be told of delegation", err)
			}
			return
		}
		c := f.start(spec)
		if exit, err := c.Wait(t.Context()); err != nil || !exit.OK() {
			t.Fatal(exit, err)
		}
	})
}

// testRootlessLife enters, stops and starts again.
func testRootlessLife(t *testing.T, f *fixture, ids IDs) {
	t.Helper()
	c := f.ready("wait", func(s *Spec) { f.rootless(s, ids) })
	wants(t, f.exec(c, "show"), "uid 0 host inside", "/: act data dev ", "CapEff:\t00000000a80425fb")
	c.spec.Stdout = nil // the pipe of its first life is closed
	if err := c.Restart(t.Context(), 10*time.Second); err != nil {
		t.Error(err)
	}
}

// rootless fits the fixture's spec to the user, and to a kernel without
// overlay for him.
func (f *fixture) rootless(s *Spec, ids IDs) {
	s.Rootless(ids)
	if f.run == nil {
		s.Group = ""
	}
	if f.Missing().Has(launch.UserOverlay) {
		image := filepath.Join(f.t.TempDir(), "image")
		if out, err := exec.Command("cp", "-r", f.image, image).CombinedOutput(); err != nil {
			f.t.Fatalf("cp: %v\n%s", err, out)
		}
		s.Root = &Root{Path: image}
	}
	open(f.t, s.Root.Path)
}

// open lets other ids through the directories of the test.
func open(t *testing.T, dir string) {
	t.Helper()
	for dir != os.TempDir() && dir != "/" {
		chmod(t, dir)
		dir = filepath.Dir(dir)
	}
}

func mayMakeUserNamespace() bool {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = actEnv("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	return cmd.Run() == nil
}

// again runs the calling test as an ordinary user.
func again(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	open(t, dir)
	if err := os.Chown(dir, ordinary, ordinary); err != nil {
		t.Fatal(err)
	}
	copyFile(t, dir+"/test", "/proc/self/exe")
	if err := os.Chmod(dir+"/test", 0o755); err != nil { // the umask
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}}
	out, err := cmd.CombinedOutput()
	t.Logf("as user %d:\n%s", ordinary, out)
	if err != nil {
		t.Errorf("as user %d: %v", ordinary, err)
	}
}

func TestSubordinate(t *testing.T) {
	const text = "root:1:5\nann:100000:65536\n\nnonsense\nann:x:1\nann:1:0\n1000:300000:10\nann:4294967290:6\n# ann:7:7\nann:200000:4294901760\n"
	got := subordinate(strings.NewReader(text), "ann", 1000)
	want := []IDMap{{0, 100000, 65536}, {0, 300000, 10}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := subordinate(strings.NewReader(":1:5\n"), "", 7); got != nil {
		t.Errorf("a user without a name got %v", got)
	}
}

func FuzzSubordinate(f *testing.F) {
	f.Add("ann:100000:65536\n1000:5:4294967295\n")
	f.Fuzz(func(t *testing.T, text string) {
		sum := uint64(1)
		for _, r := range subordinate(strings.NewReader(text), "ann", 1000) {
			if sum += uint64(r.Size); r.Size == 0 || sum > 1<<32-1 || uint64(r.Host)+uint64(r.Size) > 1<<32-1 {
				t.Errorf("range %v of %q", r, text)
			}
		}
	})
}
