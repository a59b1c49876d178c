// Package verdicts has a test for each way to end, and looks at its host.
package verdicts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestPass(t *testing.T) {
	if got := Covered(1); got != 2 {
		t.Fatal(got)
	}
	if b, err := os.ReadFile("testdata/here.txt"); err != nil || string(b) != "here\n" {
		t.Fatalf("testdata: %q, %v", b, err)
	}
}

func TestFail(t *testing.T) { t.Error("this test fails on purpose") }

func TestSkip(t *testing.T) { t.Skip("this test skips on purpose") }

func TestRequire(t *testing.T) {
	want := map[int]string{0: "root,overlay", 1000: ""}[os.Getuid()]
	if got := os.Getenv("PLIMSOLL_REQUIRE"); got != want {
		t.Errorf("PLIMSOLL_REQUIRE is %q, want %q", got, want)
	}
}

func TestRootOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// TestOverlay needs a module loaded on demand and an upper layer that is not on
// the initramfs.
func TestOverlay(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	d := t.TempDir()
	for _, n := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(d, n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(d, "merged")
	if err := syscall.Mount("overlay", merged, "overlay", 0, "lowerdir="+d+"/lower,upperdir="+d+"/upper,workdir="+d+"/work"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Unmount(merged, 0); err != nil {
		t.Fatal(err)
	}
}

// TestStaticNode opens a device whose module nobody has loaded.
func TestStaticNode(t *testing.T) {
	f, err := os.Open("/dev/net/tun")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestPivot makes the call that the initial root file system refuses, as either user.
func TestPivot(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-ec", `mount -t tmpfs none /mnt; mkdir /mnt/old; cd /mnt; pivot_root . old; exit`)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDelegation makes a cgroup beside our own and gives it a controller.
func TestDelegation(t *testing.T) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	own, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "0::")
	if !ok {
		t.Skip("not unified")
	}
	dir := filepath.Join("/sys/fs/cgroup", own)
	if err := os.Mkdir(dir+"/leaf", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/leaf/cgroup.procs", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte("+memory +pids +cpu"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir + "/leaf/memory.max"); err != nil {
		t.Fatal(err)
	}
}

// TestSubordinateIDs needs newuidmap setuid as it is on the host, and /etc/subuid.
func TestSubordinateIDs(t *testing.T) {
	if _, err := exec.LookPath("newuidmap"); err != nil || os.Getuid() == 0 {
		t.Skip("needs newuidmap and an ordinary user")
	}
	cmd := exec.Command("/bin/sleep", "10")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if out, err := exec.Command("newuidmap", strconv.Itoa(cmd.Process.Pid), "0", "1000", "1", "1", "100000", "65536").CombinedOutput(); err != nil {
		t.Fatalf("newuidmap: %v: %s", err, out)
	}
}

func TestSwap(t *testing.T) {
	b, err := os.ReadFile("/proc/swaps")
	if err != nil || !strings.Contains(string(b), "/scratch/swap") {
		t.Errorf("swaps: %q, %v", b, err)
	}
}

// TestLeavesProcess leaves one behind, which must hold up nothing.
func TestLeavesProcess(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
}
