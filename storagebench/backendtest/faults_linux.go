package backendtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
)

// smallest is the least that the file system can be made in, and soon full:
// mkfs.btrfs(8) wants 109 MiB and mkfs.xfs(8) 300; loop-xfs makes one in half of
// the pool. ZFS wants 64 MiB.
func smallest(b storagebench.Backend) int64 {
	info := b.Info()
	switch {
	case info.Name == "loop-xfs":
		return 640 << 20
	case info.Name == "zfs":
		return 64 << 20
	case info.Name == "btrfs", info.Kind == storagebench.Union, info.Kind == storagebench.Copy:
		return 128 << 20
	}
	return 320 << 20
}

// Faults takes away what a pool stands on: space, inodes, its device, power.
// Each time there must be an error that says so, another pool must not
// notice, and Close must leave nothing.
func Faults(t *testing.T, b storagebench.Backend) {
	needBackend(t, b)
	for _, test := range []struct {
		name string
		run  func(*testing.T, storagebench.Backend)
	}{
		{"disk full", testDiskFull},
		{"image too large", testImageTooLarge},
		{"inodes exhausted", testInodes},
		{"device yanked", testYanked},
		{"content lost", testLost},
		{"power cut", testPowerCut},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}

// full says whether an error is that of a disk that is full. A thin pool that
// is told to fail rather than wait gives EIO for want of a better one
// (Documentation/admin-guide/device-mapper/thin-provisioning.rst, error_if_no_space).
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EIO)
}

// within fails the test where something takes so long that it hangs.
func within(t *testing.T, what string, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("%s hangs", what)
		return nil
	}
}

// fill writes until there is an error, and gives it.
func fill(file string, most int64) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for written := int64(0); written < most; written += 1 << 20 {
		if _, err := f.Write(random(uint64(written>>20), 1<<20)); err != nil {
			return err
		}
	}
	return f.Sync()
}

func testDiskFull(t *testing.T, b storagebench.Backend) {
	other := open(t, b, storagebench.Options{Size: smallest(b), Name: "plimsoll-other"})
	otherTruth := other.with(fixture())
	otherRoot := other.clone("other")

	small := smallest(b)
	p := open(t, b, storagebench.Options{Size: small})
	p.with(fixture())
	root := p.clone("a")
	if err := within(t, "filling a clone", func() error { return fill(filepath.Join(root, "fill"), 2*small) }); err == nil {
		t.Errorf("%d bytes were written into a pool of %d", 2*small, small)
	} else if !full(err) {
		t.Errorf("filling a clone: %v", err)
	}
	// A clone may need no space. Where it does, the error says that.
	within(t, "cloning in a full pool", func() error {
		_, err := p.Clone(t.Context(), "b")
		if err != nil && !full(err) {
			t.Errorf("Clone: %v", err)
		}
		return nil
	})
	other.holds("a clone of another pool", otherRoot, otherTruth, true)
	if err := write(filepath.Join(otherRoot, "written"), "x"); err != nil {
		t.Errorf("another pool: %v", err)
	}
	// What filled it goes, and there is room again.
	within(t, "removing what filled the pool", func() error { p.remove("a"); return nil })
	if err := fill(filepath.Join(p.clone("c"), "fill"), 4<<20); err != nil {
		t.Errorf("there is room again, but: %v", err)
	}
}

func testImageTooLarge(t *testing.T, b storagebench.Backend) {
	small := smallest(b)
	p := open(t, b, storagebench.Options{Size: small})
	large := image.Synthetic(image.Spec{Layers: 2, Files: 20, Size: 2 * small})
	err := within(t, "importing what is too large", func() error { return p.Import(t.Context(), large) })
	if err == nil || !full(err) {
		t.Errorf("Import: %v", err)
	}
}

// testInodes makes more files than ext4 has inodes for in a pool of that size.
// Where inodes are made as they are needed, all can be made.
func testInodes(t *testing.T, b storagebench.Backend) {
	small := smallest(b)
	files := small/(16<<10) + 1000 // mke2fs.conf(5): inode_ratio
	p := open(t, b, storagebench.Options{Size: small})
	p.with(deep(1))
	root := p.clone("a")
	for i := range files {
		f, err := os.OpenFile(fmt.Sprintf("%s/d/%d", root, i), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			f.Close()
			continue
		}
		if !full(err) {
			t.Errorf("file %d: %v", i, err)
		}
		t.Logf("no inode for file %d", i)
		within(t, "cloning without inodes", func() error {
			if _, err := p.Clone(t.Context(), "b"); err != nil && !full(err) {
				t.Errorf("Clone: %v", err)
			}
			return nil
		})
		return
	}
}

// testYanked makes the loop device below a pool as small as can be, under its
// file system: whatever is read or written then is an error.
func testYanked(t *testing.T, b storagebench.Backend) {
	other := open(t, b, storagebench.Options{Size: smallest(b), Name: "plimsoll-other"})
	otherTruth := other.with(fixture())
	otherRoot := other.clone("other")

	p := open(t, b, storagebench.Options{Size: smallest(b)})
	p.with(fixture())
	root := p.clone("a")
	devices := p.devices()
	if len(devices) == 0 {
		t.Skip("the pool stands on no loop device that could be yanked")
	}
	for device, file := range devices {
		yank(t, device, file)
	}
	err := within(t, "writing without a device", func() error { return fill(filepath.Join(root, "fill"), 8<<20) })
	if err == nil && b.Info().Name == "zfs" {
		// OpenZFS has its writers wait for a device, zpoolprops(7). The pool brings
		// one back, and tells.
		_, err = p.Usage(t.Context())
	}
	if err == nil && !b.Info().Forgets {
		t.Error("8 MiB were written, and synced, to a device that is gone")
	}
	// Whatever these answer, they do.
	within(t, "Diff without a device", func() error { _, err := p.Diff(t.Context(), "a"); return err })
	within(t, "Usage without a device", func() error { _, err := p.Usage(t.Context()); return err })
	within(t, "Clone without a device", func() error { _, err := p.Clone(t.Context(), "b"); return err })
	within(t, "Remove without a device", func() error { return p.Remove(t.Context(), "a") })
	if err := within(t, "Close without a device", p.Close); err != nil {
		t.Logf("Close without a device: %v", err) // it may say so, and leaves nothing
	}
	other.holds("a clone of another pool", otherRoot, otherTruth, true)
}

// testLost has everything that was written be zeros at once. Whatever comes of
// it, it ends, and nothing stays.
func testLost(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: smallest(b)})
	p.with(fixture())
	root := p.clone("a")
	p.usage() // what is dirty would be there again
	devices := p.devices()
	if len(devices) == 0 {
		t.Skip("the pool stands on no loop device whose content could be lost")
	}
	for _, file := range devices {
		info, err := os.Stat(file)
		if err == nil {
			err = errors.Join(os.Truncate(file, 0), os.Truncate(file, info.Size()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"reading", func() error { _, err := os.ReadFile(filepath.Join(root, "big")); return err }},
		{"writing", func() error { return fill(filepath.Join(root, "fill"), 8<<20) }},
		{"Diff", func() error { _, err := p.Diff(t.Context(), "a"); return err }},
		{"Clone", func() error { _, err := p.Clone(t.Context(), "b"); return err }},
		{"Close", p.Close},
	} {
		t.Logf("%s: %v", step.what, within(t, step.what+" when all is lost", step.do))
	}
}

// devices are the loop devices that the pool stands on: those whose files are
// in its directory itself, and not on what is mounted there.
func (p *pool) devices() map[string]string {
	found := loops()
	var dir unix.Stat_t
	if err := unix.Stat(p.dir, &dir); err != nil {
		p.t.Fatal(err)
	}
	for device, file := range found {
		var st unix.Stat_t
		if !below(p.dir, file) || unix.Stat(file, &st) != nil || st.Dev != dir.Dev {
			delete(found, device)
		}
	}
	return found
}

func yank(t *testing.T, device, file string) {
	t.Helper()
	if err := os.Truncate(file, 4096); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		t.Fatalf("LOOP_SET_CAPACITY: %v", err)
	}
}
