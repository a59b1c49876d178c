package isolate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// escape runs every attempt in a container, and gives what came of each.
func (f *fixture) escape(change func(*Spec)) map[string]string {
	f.t.Helper()
	text := f.output(func(s *Spec) {
		s.Env = append(f.environment(), "PLIMSOLL_ACT=escape")
		s.Mounts = []Mount{{Type: "tmpfs", Target: "/tmp"}}
		change(s)
	})
	results := map[string]string{}
	for line := range strings.Lines(text) {
		name, result, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		results[name] = result
	}
	return results
}

// environment tells the attempts what they are after.
func (f *fixture) environment() []string {
	f.t.Helper()
	var exe unix.Stat_t
	if err := unix.Stat("/proc/self/exe", &exe); err != nil {
		f.t.Fatal(err)
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { unix.Close(socket) })
	f.n++
	name := fmt.Sprintf("@plimsoll-%d-%d", os.Getpid(), f.n)
	if err := errors.Join(unix.Bind(socket, &unix.SockaddrUnix{Name: name}), unix.Listen(socket, 1)); err != nil {
		f.t.Fatal(err)
	}
	marker := filepath.Join(f.t.TempDir(), "of-the-host")
	if err := os.WriteFile(marker, nil, 0o644); err != nil {
		f.t.Fatal(err)
	}
	return []string{
		"PLIMSOLL_HARNESS=" + strconv.Itoa(os.Getpid()), fmt.Sprintf("PLIMSOLL_EXE=%d:%d", exe.Dev, exe.Ino),
		"PLIMSOLL_NEIGHBOUR=" + strconv.Itoa(f.ready("wait", nothing).PID()), "PLIMSOLL_SOCKET=" + name,
		"PLIMSOLL_MARKER=" + marker, "PLIMSOLL_DISK=" + strconv.FormatUint(f.anyDisk(), 10),
	}
}

// anyDisk is the number of a block device that may be opened here, 0 where
// there is none.
func (f *fixture) anyDisk() uint64 {
	list, _ := filepath.Glob("/sys/dev/block/*")
	node := filepath.Join(f.t.TempDir(), "disk")
	for _, path := range list {
		var major, minor uint32
		if n, _ := fmt.Sscanf(filepath.Base(path), "%d:%d", &major, &minor); n != 2 {
			continue
		}
		dev := unix.Mkdev(major, minor)
		if unix.Mknod(node, unix.S_IFBLK|0o600, int(dev)) != nil {
			continue
		}
		err := opened(unix.Open(node, unix.O_RDONLY|unix.O_NONBLOCK, 0))
		os.Remove(node)
		if err == nil {
			return dev
		}
	}
	return 0
}

// TestEscapes holds a hardened container against one that has everything but:
// namespaces, a root and every capability of ours. What is refused in the one
// has to come further in the other, or the attempt proves nothing.
func TestEscapes(t *testing.T) {
	f := newFixture(t)
	hardened := f.escape(func(s *Spec) { *s = mustHarden(t, *s) })
	open := f.escape(func(s *Spec) { s.NoNewPrivs, s.Capabilities = false, nil })
	for _, a := range attempts {
		got := hardened[a.name]
		if got != unix.ErrnoName(a.want) && !(got == "ENOENT" && f.absent(a.name, got)) {
			t.Errorf("%s: %q, want %s", a.name, got, unix.ErrnoName(a.want))
		}
		switch without := open[a.name]; {
		case without == "":
			t.Errorf("%s: was not tried in the other container", a.name)
		case without == got && !alike[a.name] && !f.absent(a.name, without):
			t.Errorf("%s: %s in a container without hardening too", a.name, got)
		}
	}
}

// alike are the attempts that namespaces and the root alone are to refuse.
var alike = map[string]bool{
	"read the harness's memory": true, "signal the harness": true, "hold the harness": true, "chroot and climb": true,
	"the root of process 1": true, "the harness's executable": true, "descriptors of the harness": true,
	"a call of the future": true, "attach to the harness": true, "look into the harness's root": true,
	"connect to the harness's abstract socket": true, "signal a neighbour": true, "attach to a neighbour": true,
	"write uevent_helper": true,
}

// absent says that this host has not, or refuses to everybody, what an attempt
// is after.
func (f *fixture) absent(name, result string) bool {
	is := func(path, value string) bool {
		b, _ := os.ReadFile(path)
		return strings.TrimSpace(string(b)) == value
	}
	missing := func(path string) bool {
		_, err := os.Stat(path)
		return err != nil
	}
	switch name {
	case "load a module", "insert a module", "remove a module":
		return is("/proc/sys/kernel/modules_disabled", "1") || result == "ENOSYS"
	case "load a kernel", "load a kernel from a file":
		return is("/proc/sys/kernel/kexec_load_disabled", "1") || result == "ENOSYS"
	case "io_uring":
		return is("/proc/sys/kernel/io_uring_disabled", "2") || result == "ENOSYS"
	case "list the firmware":
		list, _ := os.ReadDir("/sys/firmware")
		return len(list) == 0
	case "open a disk":
		return f.anyDisk() == 0
	case "open the kernel's log device":
		return missing("/dev/kmsg")
	case "write /proc/sysrq-trigger":
		return missing("/proc/sysrq-trigger")
	case "write the path of modprobe":
		return missing("/proc/sys/kernel/modprobe")
	case "mount cgroups that have a release agent": // in a cgroup namespace, those that there are
		b, _ := os.ReadFile("/proc/self/cgroup")
		return !strings.Contains(string(b), ":memory:")
	case "write uevent_helper":
		return missing("/sys/kernel/uevent_helper")
	case "be spared when memory runs out", "raise a hard limit":
		return !permitted(unix.CAP_SYS_RESOURCE)
	case "read the kernel's memory":
		return missing("/proc/kcore")
	case "write an interrupt's affinity":
		return missing("/proc/irq/default_smp_affinity")
	}
	return false
}

// permitted says whether this process has a capability, to leave to an open
// container.
func permitted(bit int) bool {
	header, sets := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	return unix.Capget(&header, &sets[0]) == nil && sets[bit/32].Permitted&(1<<(bit%32)) != 0
}

func mustHarden(t *testing.T, s Spec) Spec {
	t.Helper()
	s.Capabilities = nil
	h, err := Hardened(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestEscapesFromUserNamespace: what hardening mounts can be mounted there
// too, and devices are out of reach without a list of them.
func TestEscapesFromUserNamespace(t *testing.T) {
	need(t, "userns-overlay", !launch.MissingFeatures().Has(launch.UserOverlay))
	f := newFixture(t)
	results := f.escape(func(s *Spec) {
		f.mapUsers(s)
		*s = mustHarden(t, *s)
		if s.Limits.Devices != nil {
			t.Error("a list of devices, which takes privileges on the host")
		}
	})
	for _, a := range attempts {
		want := unix.ErrnoName(a.want)
		if strings.HasPrefix(a.name, "open ") && a.want == unix.EPERM && results[a.name] != want {
			want = "mknod: operation not permitted"
		}
		if got := results[a.name]; got != want && !(got == "ENOENT" && f.absent(a.name, got)) && got != "EACCES" {
			t.Errorf("%s: %q, want %s", a.name, got, want)
		}
	}
}

// TestEscapesFromNothing: what namespaces and the root refuse comes further in
// a process that has neither, so these attempts are good ones.
func TestEscapesFromNothing(t *testing.T) {
	f := newFixture(t)
	names := []string{
		"read the harness's memory", "signal the harness", "hold the harness", "attach to the harness", "look into the harness's root",
		"connect to the harness's abstract socket", "signal a neighbour", "attach to a neighbour", "the root of process 1", "write uevent_helper",
	}
	got := f.ends(Spec{Path: f.image + "/act", Env: append(f.environment(), "PLIMSOLL_ACT=escape", "PLIMSOLL_ONLY=|"+strings.Join(names, "|")+"|")})
	for _, a := range attempts {
		_, result, tried := strings.Cut(got, a.name+"\t")
		result, _, _ = strings.Cut(result, "\n")
		if !slices.Contains(names, a.name) || f.absent(a.name, result) {
			continue
		}
		if !tried || result == unix.ErrnoName(a.want) {
			t.Errorf("%s: %q outside of a container", a.name, result)
		}
	}
}

func TestForkBombIsContained(t *testing.T) {
	f := newFixture(t)
	for _, limit := range []int64{32, 0} {
		got := f.output(func(s *Spec) {
			s.Env = []string{"PLIMSOLL_ACT=breed"}
			s.Limits.PIDs = limit
			*s = mustHarden(t, *s)
		})
		if refused := strings.Contains(got, " EAGAIN\n"); refused != (limit > 0) {
			t.Errorf("limit %d: forked %s", limit, got)
		}
	}
}

func TestMemoryBombIsContained(t *testing.T) {
	f := newFixture(t)
	spec := f.spec("eat", nil)
	limitMemory(&spec, 32<<20)
	spec.Limits.PIDs = 100
	c := f.start(mustHarden(t, spec))
	exit, err := c.Wait(t.Context())
	if err != nil || exit.Signal != unix.SIGKILL {
		t.Error(exit, err)
	}
}

// TestProgramOutsideOfRoot: an image whose program is a link to the harness's
// executable does not get to run that (CVE-2019-5736).
func TestProgramOutsideOfRoot(t *testing.T) {
	f := newFixture(t)
	if err := os.Symlink("/proc/self/exe", f.image+"/link"); err != nil {
		t.Fatal(err)
	}
	spec := mustHarden(t, f.spec("true", nil))
	spec.Path = "/link"
	c, err := f.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove(t.Context())
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "ELOOP") {
		t.Errorf("got %v, want ELOOP", err)
	}
	// Without that check it is the harness that runs.
	p := Compile(&c.spec, f.files(nil, nil, nil), c.join, f.Missing())
	p.Ops = slices.DeleteFunc(p.Ops, func(op launch.Op) bool { return op.Phase == "check program" })
	proc, err := f.launcher.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := proc.Wait(); err != nil || !exit.OK() {
		t.Errorf("the harness's executable did not run: %v, %v", exit, err)
	}
}

// TestMountPointOutsideOfRoot: links of the image that lead to the host, through
// the process that sets up the container, make nothing there.
func TestMountPointOutsideOfRoot(t *testing.T) {
	f := newFixture(t)
	host := t.TempDir()
	if err := os.Symlink("/proc/self/cwd"+host, f.image+"/link"); err != nil {
		t.Fatal(err)
	}
	bind := Mount{Source: t.TempDir(), Target: "/data"}
	try := func(target string) error {
		spec := f.spec("true", nil)
		spec.Mounts = []Mount{bind, {Type: "tmpfs", Target: target}}
		c, err := f.Create(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Remove(t.Context())
		return c.Start(t.Context())
	}
	if err := try("/link/made"); err == nil || !strings.Contains(err.Error(), "ELOOP") {
		t.Errorf("got %v, want ELOOP", err)
	}
	// The link does lead there: what is mounted on it is seen by that container's namespace alone.
	if err := try("/link"); err != nil {
		t.Error(err)
	}
	if list, err := os.ReadDir(host); err != nil || len(list) > 0 {
		t.Errorf("on the host were made %v, %v", list, err)
	}
}

// TestMemoryOfStartingContainer: a child that has dropped its privileges and
// not yet called execve shares the harness's memory. Another process of no
// more privileges may not open it.
func TestMemoryOfStartingContainer(t *testing.T) {
	f := newFixture(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	caps := DockerDefault
	spec := Spec{Path: f.image + "/act", Env: []string{"PLIMSOLL_ACT=true"}, Capabilities: &caps}
	p := Compile(&spec, [3]int{0, 1, 2}, f.run.Bare().Join(), f.Missing())
	stall := launch.New(p.Files)
	stall.Add(launch.Op{Phase: "stall", Call: unix.SYS_OPENAT}, launch.CurrentDir, launch.String(fifo), launch.Number(unix.O_RDONLY), launch.Number(0))
	p.Ops = slices.Insert(p.Ops, len(p.Ops)-2, stall.Ops...)
	done := make(chan error)
	go func() {
		proc, err := f.launcher.Start(t.Context(), p)
		if err == nil {
			_, err = proc.Wait()
		}
		done <- err
	}()
	child := stalledChild(t)
	peek := func() string {
		got := f.ends(Spec{Path: f.image + "/act", Capabilities: &caps, NoNewPrivs: true,
			Env: []string{"PLIMSOLL_ACT=peek", fmt.Sprintf("PLIMSOLL_TARGET=%d", child)}})
		return strings.TrimSpace(got)
	}
	if got := peek(); !strings.Contains(got, refusedPeek) {
		t.Errorf("the memory of a starting child: %q, want %s", got, refusedPeek)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if got := peek(); got != "" {
		t.Errorf("with a dumpable harness: %q: the test proves nothing", got)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fifo, nil, 0); err != nil { // opens, and lets the child go on
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

const refusedPeek = "permission denied, attach: operation not permitted"

// TestMemoryOfExec: a program on its way into a container is seen by those in
// it before its execve, with a copy of the harness's memory. They may not open
// it, nor attach to the process.
func TestMemoryOfExec(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	hunt := func(hidden bool) string {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		spec := f.spec("hunt", w)
		spec.Mounts = []Mount{{Source: dir, Target: "/data"}}
		c := f.start(spec)
		w.Close()
		p := CompileExec(&c.spec, &Exec{Path: "/act", Env: actEnv("true")}, c.PID(), f.files(nil, nil, nil), c.currentJoin(), f.Missing())
		stall := launch.New(p.Files)
		stall.Add(launch.Op{Phase: "stall", Call: unix.SYS_OPENAT}, launch.CurrentDir, launch.String("/data/fifo"), launch.Number(unix.O_RDONLY), launch.Number(0))
		p.Ops = slices.Insert(p.Ops, len(p.Ops)-2, stall.Ops...)
		if !hidden {
			p.Ops = slices.DeleteFunc(p.Ops, func(op launch.Op) bool { return op.Phase == "hide memory" })
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error)
		go func() {
			proc, err := f.launcher.Start(ctx, p)
			if err == nil {
				_, err = proc.Wait()
			}
			done <- err
		}()
		said, err := io.ReadAll(r) // until the hunter ends, and all in its pid namespace with it
		if err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("a program was executed in a container that has ended")
		}
		return string(said)
	}
	if got := hunt(true); !strings.Contains(got, refusedPeek) {
		t.Errorf("the memory of a program on its way: %q, want %s", got, refusedPeek)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if got := hunt(false); strings.Contains(got, "denied") || strings.Contains(got, "permitted") {
		t.Errorf("with a dumpable harness: %q: the test proves nothing", got)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// TestTyping: a container that is given a terminal cannot type on it, as if
// its user had (TIOCSTI, CVE-2017-5226).
func TestTyping(t *testing.T) {
	f := newFixture(t)
	for _, hardened := range []bool{true, false} {
		user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
		need(t, "pty", err == nil)
		defer user.Close()
		if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
			t.Fatal(err)
		}
		number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
		if err != nil {
			t.Fatal(err)
		}
		terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
		need(t, "pty", err == nil)
		defer terminal.Close()
		spec := f.spec("type", nil)
		spec.Stdin = terminal
		if hardened {
			spec = mustHarden(t, spec)
		} else {
			spec.Capabilities = nil
		}
		exit, err := f.start(spec).Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if typed := exit.OK(); typed == hardened {
			t.Errorf("hardened %v: typed %v", hardened, typed)
		}
	}
}

// ends runs a process and gives what it printed.
func (f *fixture) ends(spec Spec) string {
	f.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	spec.Stdout = w
	c := f.start(spec)
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := c.Wait(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// stalledChild waits for a child of ours that has dropped capabilities.
func stalledChild(t *testing.T) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		list, _ := filepath.Glob("/proc/[0-9]*/status")
		for _, path := range list {
			b, _ := os.ReadFile(path)
			if strings.Contains(string(b), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) && strings.Contains(string(b), defaultPermitted) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				return pid
			}
		}
	}
	t.Fatal("no child has stalled")
	return 0
}
