package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plimsoll/storagebench/block"
)

// testDevice is a block device, by the name that a user would give.
func testDevice(t *testing.T, size int64) string {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	_, err := os.Stat("/dev/loop-control")
	need(t, "loop", err == nil)
	d, err := block.Loop(t.Context(), filepath.Join(workDirOf(t), "disk"), size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.Path
}

// held is what wipefs finds on a device.
func held(t *testing.T, device string) string {
	t.Helper()
	out, err := exec.Command("wipefs", "--noheadings", "--output", "TYPE,LABEL", device).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// TestPoolsOnDevice has more pools than the device has room for, and gives it
// back empty.
func TestPoolsOnDevice(t *testing.T) {
	device := testDevice(t, 2<<30)
	p := profile(t, `
rounds: 1
factors:
  workload: [provision, quirks, startup]
  runtime: [isolate]
  storage: [btrfs, loop-ext4, vfs]
pools: {size: 512MiB, device: `+device+`}
workloads:
  provision: {params: `+smallImage+`}
  quirks: {params: {fill: [false]}}
`)
	e := open(t, p)
	if n := len(e.pools.device.taken); n != 3 {
		t.Errorf("%d slices, want 3: each must hold a pool for quirks", n)
	}
	for key, o := range runAll(t, e) {
		if len(o.Samples) == 0 {
			t.Errorf("%s: no sample", key)
		}
	}
	if err := e.pools.close(); err != nil {
		t.Error(err)
	}
	if got := held(t, device); got != "" {
		t.Errorf("the device was given back with %s on it", got)
	}
}

// TestDeviceThatIsRefused: what a user has on a device is not overwritten
// unasked.
func TestDeviceThatIsRefused(t *testing.T) {
	device := testDevice(t, 1<<30)
	opens := func(pools string) error {
		p := profile(t, "factors: {workload: [provision], storage: [vfs]}\npools: {size: 640MiB, "+pools+"}\n")
		p.Factors.Dir = []string{workDirOf(t)}
		e, err := Open(t.Context(), Options{Run: "test-device", Profile: p, Self: "/proc/self/exe"})
		if e != nil {
			err = errors.Join(err, e.Close(t.Context()))
		}
		if err != nil && !errors.As(err, new(*InputError)) {
			t.Errorf("%v does not say that the input is wrong", err)
		}
		return err
	}
	refused := func(pools, want string) {
		t.Helper()
		if err := opens(pools); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pools, err, want)
		}
	}
	tool := func(argv ...string) {
		t.Helper()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("device: "+plain, "is not a block device")
	refused("device: /dev/none", "no such file")
	refused("device: "+testDevice(t, 600<<20), "has 600MiB, and a pool takes 640MiB")

	tool("mkfs.ext4", "-q", "-F", "-L", "my photos", device)
	refused("device: "+device, `ext4, labelled "my photos"`)
	refused("device: "+device, "pools.overwrite=true")
	at := t.TempDir()
	if err := block.Mount(device, at, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	refused("overwrite: true, device: "+device, "is mounted")
	if err := block.Unmount(at); err != nil {
		t.Fatal(err)
	}
	if err := block.WipeOurs(t.Context(), device); err != nil {
		t.Error(err)
	}
	if got := held(t, device); got != "ext4 my photos" {
		t.Errorf("the device holds %q by now", got)
	}
	if err := opens("overwrite: true, device: " + device); err != nil {
		t.Error(err)
	}

	// A table of one partition, as fdisk writes it.
	table := make([]byte, 512)
	copy(table[446:], []byte{0, 0, 2, 0, 0x83, 0xff, 0xff, 0xff, 0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0})
	table[510], table[511] = 0x55, 0xaa
	tool("wipefs", "--all", "--quiet", device)
	if err := os.WriteFile(device, table, 0); err != nil {
		t.Fatal(err)
	}
	refused("device: "+device, "it holds dos")

	// What a killed run left is ours to take, and to wipe.
	tool("wipefs", "--all", "--quiet", device)
	tool("mkfs.ext4", "-q", "-F", "-L", block.Label, device)
	if err := opens("device: " + device); err != nil {
		t.Error(err)
	}
	tool("mkfs.ext4", "-q", "-F", "-L", block.Label, device)
	if err := undo(context.Background(), []entry{{"device", device}, {"device", "/dev/none"}}); err != nil {
		t.Error(err)
	}
	if got := held(t, device); got != "" {
		t.Errorf("what a killed run left is still there: %s", got)
	}
}
