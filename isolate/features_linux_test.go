package isolate

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

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
