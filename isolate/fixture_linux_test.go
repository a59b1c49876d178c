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
