package vmtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"plimsoll/internal/vmtest/guest"

	"github.com/google/go-cmp/cmp"
)

// needVM returns a kernel to boot. It skips where there is no QEMU or no kernel
// in the cache, and never downloads one, unless PLIMSOLL_REQUIRE names qemu.
func needVM(t *testing.T) Kernel {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), "qemu") {
		k, err := FetchKernel(t.Context(), "bookworm", "cloud")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if testing.Short() {
		t.Skip("boots a virtual machine, some ten seconds")
	}
	for _, p := range []string{"qemu-system-x86_64", "busybox", "mkfs.ext4"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
	dir, err := CachedKernel("bookworm", "cloud")
	if err != nil {
		t.Skip(err)
	}
	k, err := FindKernel(dir)
	if err != nil {
		t.Skip(err)
	}
	return k
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	c := Config{
		Kernel:   needVM(t),
		Cgroup:   "v2",
		Packages: []string{"./testdata/verdicts", "./testdata/panics", "./testdata/hangs"},
		Users:    []string{"root", "user"},
		Require:  map[string]string{"root": "root,overlay"},
		Timeout:  5 * time.Second,
		Limit:    5 * time.Minute,
		CPUs:     2, Memory: 1024, Scratch: 4096, Swap: 64,
		Out: t.TempDir(),
	}
	// What newuidmap is for is tested where it is installed.
	idmap := "skip"
	if _, err := exec.LookPath("newuidmap"); err == nil {
		idmap = "pass"
		c.Programs = []string{"newuidmap"}
	}
	var out strings.Builder
	if err := Run(t.Context(), c, &out); err != ErrTests {
		t.Fatalf("got error %v, want %v; output:\n%s", err, ErrTests, &out)
	}

	want := map[string]map[string]string{
		"root": {
			"verdicts TestPass": "pass", "verdicts TestFail": "fail", "verdicts TestSkip": "skip",
			"verdicts TestRequire": "pass", "verdicts TestRootOnly": "pass", "verdicts TestOverlay": "pass",
			"verdicts TestPivot": "pass", "verdicts TestDelegation": "pass", "verdicts TestSubordinateIDs": "skip",
			"verdicts TestStaticNode": "pass", "verdicts TestSwap": "pass", "verdicts TestLeavesProcess": "pass",
			"panics TestPanic": "fail",
			"hangs TestHang":   "pass",
		},
		"user": {
			"verdicts TestPass": "pass", "verdicts TestFail": "fail", "verdicts TestSkip": "skip",
			"verdicts TestRequire": "pass", "verdicts TestRootOnly": "skip", "verdicts TestOverlay": "skip",
			"verdicts TestPivot": "pass", "verdicts TestDelegation": "pass", "verdicts TestSubordinateIDs": idmap,
			"verdicts TestStaticNode": "pass", "verdicts TestSwap": "pass", "verdicts TestLeavesProcess": "pass",
			"panics TestPanic": "fail",
			"hangs TestHang":   "run",
		},
	}
	for user, want := range want {
		f, err := os.Open(c.results(user))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		all, err := ReadOutcomes(f)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, o := range all {
			got[strings.TrimPrefix(name, "plimsoll/internal/vmtest/testdata/")] = o.Action
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("outcomes as %s (-want +got):\n%s", user, d)
		}
	}

	for _, want := range []string{
		`(?m)^vm: Linux ` + regexp.QuoteMeta(c.Kernel.Release) + `, cgroup v2, as (root|user), init after [\d.]+s$`,
		`(?m)^    verdicts_test.go:\d+: this test fails on purpose$`,
		`(?m)^FAIL\t.*/verdicts\t[\d.]+s\tas root: 9 passed, 1 failed, 2 skipped$`,
		`(?m)^panic: on purpose`,
		`(?m)^FAIL\t.*/panics\t[\d.]+s\tas user: 0 passed, 1 failed, 0 skipped$`,
		`(?m)^ok  \t.*/hangs\t[\d.]+s\tas root: 1 passed, 0 failed, 0 skipped$`,
		`(?m)^panic: test timed out after 5s$`,
		`(?m)/verdicts\t\tcoverage: 66.7% of statements`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("nothing matches %s", want)
		}
	}
	if t.Failed() {
		t.Logf("output:\n%s", &out)
	}
}

// storagePrograms are what tests of storage use, here and in the guest.
var storagePrograms = []string{
	"dmsetup", "lvm", "pvcreate", "thin_check", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "fuse-overlayfs",
}

// TestStorage brings programs of this host, their files and modules along.
func TestStorage(t *testing.T) {
	t.Parallel()
	c := Config{
		Kernel:   needVM(t),
		Cgroup:   "v2",
		Packages: []string{"./testdata/storage"},
		Users:    []string{"root"},
		Programs: storagePrograms,
		Modules:  []string{"dm-raid"}, // that is not in demandModules
		Files:    []string{"/etc/lvm"},
		Timeout:  time.Minute,
		Limit:    5 * time.Minute,
		CPUs:     2, Memory: 1024, Scratch: 8192,
		Out: t.TempDir(),
	}
	for _, p := range storagePrograms {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
	var out strings.Builder
	if err := Run(t.Context(), c, &out); err != nil {
		t.Errorf("%v; output:\n%s", err, &out)
	}
	c.Modules = []string{"nosuch"}
	want := "kernel " + c.Kernel.Release + " has no module nosuch"
	if err := Run(t.Context(), c, &out); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// TestBootFails boots a machine that has no init, and one that has no time: the
// error must show what the console said.
func TestBootFails(t *testing.T) {
	t.Parallel()
	k := needVM(t)
	dir := t.TempDir()
	m := machine{
		kernel: k.Image, initrd: filepath.Join(dir, "initrd"), disk: filepath.Join(dir, "disk"),
		console: filepath.Join(dir, "console,log"), cpus: 1, memory: 512,
	}
	f, err := os.Create(m.initrd)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (tree{}).writeCpio(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.disk, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ignore := func(guest.Event) error { return nil }
	err = m.boot(t.Context(), ignore)
	if err == nil || !strings.Contains(err.Error(), "Kernel panic - not syncing: VFS") {
		t.Errorf("without init: got error %v, want the console with a kernel panic", err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, fmt.Errorf("no time"))
	defer cancel()
	err = m.boot(ctx, ignore)
	if err == nil || !strings.HasPrefix(err.Error(), "virtual machine killed: no time; last lines of its console:") {
		t.Errorf("without time: got error %v", err)
	}
}

func TestCheckClock(t *testing.T) {
	for _, c := range []struct {
		guest, host float64
		want        string
	}{
		{6.5, 9.8, ""},
		{98, 100, ""},
		{65, 9.8, "the virtual machine's clock is wrong: 65.0 s in its 9.8 s of life"},
	} {
		if got := fmt.Sprint(checkClock(c.guest, c.host)); got != c.want && (c.want != "" || got != "<nil>") {
			t.Errorf("%v s of %v: got %s, want %q", c.guest, c.host, got, c.want)
		}
	}
}

// TestWrongClock has a kernel believe in a time stamp counter of 100 MHz: no
// test may run by such a clock.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	c := Config{
		Kernel: needVM(t), Cgroup: "v2", Append: "tsc_early_khz=100000",
		Packages: []string{"./testdata/verdicts"}, Users: []string{"root"},
		Timeout: time.Minute, Limit: time.Hour,
		CPUs: 1, Memory: 1024, Scratch: 64,
		Out: t.TempDir(),
	}
	var out strings.Builder
	err := Run(t.Context(), c, &out)
	const want = "the virtual machine's clock is wrong: "
	if err == nil || strings.Count(err.Error(), want) != 3 || strings.Contains(out.String(), "vm: ") {
		t.Errorf("got error %v and %q, want %q, of three machines, and nothing run", err, &out, want)
	}
}
