// Package storage looks for what tests of storage need: block devices, file
// systems, and the programs that make them.
package storage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestThinPool has a linked program (thin_check), a module loaded on demand and
// the node that libdevmapper opens.
func TestThinPool(t *testing.T) {
	dir := t.TempDir()
	var loops []string
	for _, name := range []string{"meta", "data"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, 64<<20); err != nil {
			t.Fatal(err)
		}
		loop := strings.TrimSpace(output(t, "losetup", "-f"))
		output(t, "losetup", loop, file)
		defer output(t, "losetup", "-d", loop)
		loops = append(loops, loop)
	}
	output(t, "modprobe", "-a", "dm-thin-pool", "dm-raid")
	if targets := output(t, "dmsetup", "targets"); !strings.Contains(targets, "thin-pool") {
		t.Fatalf("targets: %s", targets)
	}
	output(t, "dmsetup", "create", "pool", "--table", "0 131072 thin-pool "+strings.Join(loops, " ")+" 128 0")
	defer output(t, "dmsetup", "remove", "pool")
	output(t, "dmsetup", "message", "pool", "0", "create_thin 0")
	output(t, "dmsetup", "create", "thin", "--table", "0 65536 thin /dev/mapper/pool 0")
	output(t, "dmsetup", "remove", "thin")
	output(t, "thin_check", "-V")
}

func TestLVM(t *testing.T) {
	if v := output(t, "lvm", "version"); !strings.Contains(v, "LVM version") {
		t.Error(v)
	}
}

func TestFileSystems(t *testing.T) {
	for _, f := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(f, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "image")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, 512<<20); err != nil { // what xfs wants at the least is 300
				t.Fatal(err)
			}
			output(t, "mkfs."+f, file)
			loop := strings.TrimSpace(output(t, "losetup", "-f"))
			output(t, "losetup", loop, file)
			defer output(t, "losetup", "-d", loop)
			if err := syscall.Mount(loop, "/mnt", f, 0, ""); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Unmount("/mnt", 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFuse(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := filepath.Join(dir, "merged")
	output(t, "fuse-overlayfs", "-o", "lowerdir="+dir+"/lower,upperdir="+dir+"/upper,workdir="+dir+"/work", merged)
	if err := os.WriteFile(merged+"/file", []byte("upper"), 0o644); err != nil {
		t.Error(err)
	}
	if err := syscall.Unmount(merged, 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/upper/file"); err != nil {
		t.Error(err)
	}
}

// TestScratch has the size that was asked for.
func TestScratch(t *testing.T) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(os.TempDir(), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Blocks * uint64(s.Bsize) >> 20; got < 7000 || got > 8192 {
		t.Errorf("%d MiB under %s, want nearly 8192", got, os.TempDir())
	}
}
