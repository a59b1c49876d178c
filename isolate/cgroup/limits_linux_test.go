package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// output is what a helper in the group prints.
func output(t *testing.T, g *Group, work string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := startTo(t, g, f, work, args...)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// helpDevices tries to make and to open devices.
func helpDevices(dir string) error {
	for _, d := range []struct {
		name         string
		kind         uint32
		major, minor uint32
	}{{"null", unix.S_IFCHR, 1, 3}, {"zero", unix.S_IFCHR, 1, 5}, {"full", unix.S_IFCHR, 1, 7}, {"loop", unix.S_IFBLK, 7, 0}} {
		path := filepath.Join(dir, d.name)
		made := unix.Mknod(path, d.kind|0o600, int(unix.Mkdev(d.major, d.minor)))
		fmt.Print(d.name, " ", result(made))
		for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR} {
			fd, err := unix.Open("/dev/"+d.name, flags|unix.O_NONBLOCK, 0)
			if d.kind == unix.S_IFCHR && err == nil {
				unix.Close(fd)
			}
			fmt.Print(" ", result(err))
		}
		fmt.Println()
	}
	return nil
}

func result(err error) string {
	if errno, ok := err.(syscall.Errno); ok {
		return unix.ErrnoName(errno)
	}
	return "ok"
}

// TestDevicesAreRefused is the same for v1's controller and v2's program: kind,
// numbers and each access decide.
func TestDevicesAreRefused(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{Devices: []Device{{'c', 1, 3, "rwm"}, {'c', 1, 5, "r"}, {'c', 1, AnyDevice, "w"}}})
		got := output(t, g, "devices", t.TempDir())
		lines := strings.SplitAfter(got, "\n")
		want := "null ok ok ok ok\nzero EPERM ok ok EPERM\nfull EPERM EPERM ok EPERM\n"
		if diff := cmp.Diff(want, strings.Join(lines[:3], "")); diff != "" {
			t.Errorf("make, read, write, both (-want +got):\n%s", diff)
		}
		if !strings.HasPrefix(lines[3], "loop EPERM") {
			t.Errorf("a block device is not refused: %s", lines[3])
		}
	})
}

// TestNoDevices: an empty list is not the same as none.
func TestNoDevices(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	onEachLayout(t, func(t *testing.T, h *Host) {
		got := output(t, create(t, newRun(t, h), Limits{Devices: []Device{}}), "devices", t.TempDir())
		if strings.Contains(got, "ok") {
			t.Errorf("with no devices allowed:\n%s", got)
		}
	})
}

// TestProgramIsLoadedOnce, and is not in the way of the next run.
func TestProgramIsLoadedOnce(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	h, err := Detect("/")
	if err != nil {
		t.Fatal(err)
	}
	need(t, "unified", h.unified() != nil)
	r := newRun(t, h)
	for i := range 3 {
		if _, err := r.Create("c"+strconv.Itoa(i), Limits{Devices: DockerDevices}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.devices) != 1 {
		t.Errorf("%d programs for one list", len(r.devices))
	}
}

// TestSwapLimit: what does not fit into memory goes to swap, unless there is
// to be none.
func TestSwapLimit(t *testing.T) {
	swaps, err := os.ReadFile("/proc/swaps")
	need(t, "swap", err == nil && strings.Count(string(swaps), "\n") > 1)
	onEachLayout(t, func(t *testing.T, h *Host) {
		const memory, size = 48 << 20, 64 << 20
		for _, tt := range []struct {
			swap   int64
			killed bool
		}{{NoSwap, true}, {0, false}, {8 << 20, true}, {64 << 20, false}} {
			r := newRun(t, h)
			g, err := r.Create("c1", Limits{Memory: memory, Swap: tt.swap})
			if err != nil && strings.Contains(err.Error(), "swapaccount") {
				need(t, "swapaccount", false)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := start(t, g, "allocate", strconv.Itoa(size))
			cmd.Wait()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; killed != tt.killed {
				t.Errorf("64 MiB in 48 MiB and swap of %d: killed %t", tt.swap, killed)
			}
		}
	})
}

// TestHugetlbLimit: with none allowed the reservation is counted against the limit,
// whether there are huge pages or not.
func TestHugetlbLimit(t *testing.T) {
	_, err := os.Stat("/sys/kernel/mm/hugepages/hugepages-2048kB")
	need(t, "hugepages", err == nil)
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{Hugetlb: []HugetlbLimit{{2 << 20, 0}}})
		if got := output(t, g, "reserve", strconv.Itoa(2<<20)); !strings.Contains(got, "cannot allocate memory") {
			t.Errorf("reserving a huge page: %s", got)
		}
		refused := false
		for _, dir := range g.Paths() {
			for _, file := range []string{"hugetlb.2MB.rsvd.failcnt", "hugetlb.2MB.failcnt", "hugetlb.2MB.events", "hugetlb.2MB.rsvd.events"} {
				b, _ := os.ReadFile(dir + "/" + file)
				refused = refused || strings.Trim(strings.TrimPrefix(string(b), "max "), "0\n") != ""
			}
		}
		if !refused {
			t.Error("the limit was not counted as reached")
		}
	})
}

// TestIOWeight: which of the files there is depends on the kernel; at least
// one has what was asked for.
func TestIOWeight(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g, err := newRun(t, h).Create("c1", Limits{IOWeight: 200})
		need(t, "io-weight", err == nil || !strings.Contains(err.Error(), "no such file") && !strings.Contains(err.Error(), "controller io"))
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, dir := range g.Paths() {
			for _, file := range []string{"io.weight", "io.bfq.weight", "blkio.bfq.weight"} {
				if b, err := os.ReadFile(dir + "/" + file); err == nil {
					found = append(found, file+" "+strings.TrimSpace(strings.TrimPrefix(string(b), "default ")))
				}
			}
		}
		for _, f := range found {
			if !strings.HasSuffix(f, "weight 200") && !strings.HasSuffix(f, "weight 109") {
				t.Errorf("read back: %s", f)
			}
		}
		if len(found) == 0 {
			t.Error("no weight is set")
		}
	})
}

// TestPacketTags are v1's alone.
func TestPacketTags(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{NetClass: 0x10002, NetPriority: map[string]uint32{"lo": 5}})
		for _, dir := range g.Paths() {
			if b, err := os.ReadFile(dir + "/net_cls.classid"); err == nil && trim(b) != "65538" {
				t.Errorf("net_cls.classid: %s", b)
			}
			if b, err := os.ReadFile(dir + "/net_prio.ifpriomap"); err == nil && !strings.Contains(string(b), "lo 5\n") {
				t.Errorf("net_prio.ifpriomap: %s", b)
			}
		}
	})
}
