package isolate

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// TestWithoutFeature makes containers as an older kernel would have them made.
func TestWithoutFeature(t *testing.T) {
	needRoot(t)
	image := makeTestImage(t)
	chmod(t, image)
	all := launch.Feature{Name: "all"}
	for _, k := range launch.KnownFeatures {
		all.Bit |= k.Bit
	}
	for _, k := range append([]launch.Feature{all}, launch.KnownFeatures...) {
		t.Run(k.Name, func(t *testing.T) {
			f := newFixtureWithout(t, k.Bit, image)
			leak, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // not O_CLOEXEC
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(leak)
			c := f.ready("wait", func(s *Spec) {
				s.Limits.PIDs = 100
				if f.mayTimeNamespace() {
					s.Namespaces |= Time
				}
			})
			got := f.exec(c, "show")
			wants(t, got, "uid 0 host inside", "/proc/self/fd: 0 1 2 ", "CapEff:\t00000000a80425fb", "write /x <nil>", ":/\n")
			if strings.Contains(got, "plimsoll") {
				t.Errorf("the container sees the path of its cgroup:\n%s", got)
			}
			if _, ended, err := c.proc.WaitFor(time.Millisecond); ended || err != nil {
				t.Errorf("a container that runs has ended: %v", err)
			}
			if exit, err := c.Stop(t.Context(), 10*time.Second); err != nil || exit.Signal != 0 {
				t.Errorf("stop: %v, %v", exit, err)
			}
			f.refusesTimeNamespace()

			missing := f.spec("true", nil)
			missing.Path = "/missing"
			c, err = f.Create(missing)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Remove(t.Context())
			if err := c.Start(t.Context()); !errors.Is(err, syscall.ENOENT) {
				t.Errorf("start of a program that is not there: %v", err)
			}
		})
	}
}

func (f *fixture) refusesTimeNamespace() {
	f.t.Helper()
	if f.mayTimeNamespace() {
		return
	}
	spec := f.spec("true", nil)
	spec.Namespaces |= Time
	if _, err := f.Create(spec); err == nil || !strings.Contains(err.Error(), "needs Linux") {
		f.t.Errorf("a time namespace: %v, want a refusal", err)
	}
}

// mayTimeNamespace reports whether the engine can make one.
func (f *fixture) mayTimeNamespace() bool {
	s := Spec{Namespaces: Time}
	return s.adapt(f.Missing()) == nil
}

// TestBehindFilter has a seccomp filter refuse the newer calls, as those of
// outer containers do, and older kernels by themselves.
func TestBehindFilter(t *testing.T) {
	if errno, err := strconv.Atoi(os.Getenv("PLIMSOLL_FILTER")); err == nil {
		refuse(t, syscall.Errno(errno), unix.SYS_CLONE3, unix.SYS_CLOSE_RANGE, unix.SYS_PIDFD_OPEN)
		f := newFixture(t)
		want := launch.Clone3 | launch.ClearSighand | launch.IntoCgroup | launch.CloseRange | launch.Pidfd
		if !f.Missing().Has(want) {
			t.Errorf("what is refused is not missing: %v", f.Missing().Facts())
		}
		c := f.ready("wait", nothing)
		wants(t, f.exec(c, "show"), "uid 0 host inside", "/proc/self/fd: 0 1 2 ")
		if exit, err := c.Stop(t.Context(), 10*time.Second); err != nil || exit.Signal != 0 {
			t.Errorf("stop: %v, %v", exit, err)
		}
		return
	}
	needRoot(t)
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	for _, errno := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
		if errno == syscall.EPERM && self.Section(".interp") != nil {
			continue // the race detector brings libc, which gets along without clone3 on ENOSYS only
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestBehindFilter$", "-test.v")
		cmd.Env = append(os.Environ(), fmt.Sprintf("PLIMSOLL_FILTER=%d", errno))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", errno, err, out)
		}
	}
}

// refuse makes the system calls fail from now on, in every thread of this
// process and its children.
func refuse(t *testing.T, errno syscall.Errno, calls ...uint32) {
	t.Helper()
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // seccomp_data.nr
	for _, nr := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		t.Fatalf("seccomp: %v", errno)
	}
}

func TestMissingFeatures(t *testing.T) {
	missing := launch.MissingFeatures()
	t.Log(missing.Facts())
	before := snapshot(t)
	launch.MissingFeatures()
	if after := snapshot(t); after["descriptors"] != before["descriptors"] || after["children"] != before["children"] {
		t.Errorf("asking left something: %v, %v", before, after)
	}
	// What the kernel is old enough to have can be missing only where a filter
	// or its configuration keeps it from us: not on a host that is to prove this.
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	kernel := version(t, unix.ByteSliceToString(uts.Release[:]))
	for _, k := range launch.KnownFeatures {
		if has := !missing.Has(k.Bit); has != (kernel >= version(t, k.Since)) {
			need(t, k.Name, has)
			t.Errorf("Linux %s has %s, which came with %s", uts.Release, k.Name, k.Since)
		}
	}
}

func version(t *testing.T, release string) int {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("release %q: %v", release, err)
	}
	return 1000*major + minor
}
