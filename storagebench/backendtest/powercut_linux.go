package backendtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// testPowerCut takes the device's content at one moment, as it is after a
// power cut, and mounts that: what was synced must be in it.
func testPowerCut(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: smallest(b)})
	p.with(fixture())
	root := p.clone("a")
	synced := random(1, 3<<20)
	writeSynced(t, filepath.Join(root, "synced"), synced)
	syncDir(t, root)
	if err := os.WriteFile(filepath.Join(root, "unsynced"), random(2, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	devices := p.devices()
	if len(devices) != 1 {
		t.Skipf("the pool stands on %d loop devices, and not on one", len(devices))
	}
	image := filepath.Join(t.TempDir(), "crashed")
	for device, file := range devices {
		copyOfAMoment(t, image, device, file)
	}
	// A file system is known by its id: the original goes first.
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	found, mounted := search(t, image, string(synced))
	switch {
	case !mounted:
		t.Skip("the device has no file system of its own that could be mounted")
	case found:
	case b.Info().Forgets:
		t.Log("what was synced is lost, as the backend says")
	default:
		t.Error("what was synced is lost")
	}
}

// copyOfAMoment copies the file below a device, again where something was
// written meanwhile: power does not go at one time here and later there.
func copyOfAMoment(t *testing.T, image, device, file string) {
	t.Helper()
	writes := func() string {
		text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "stat"))
		fields := strings.Fields(string(text))
		if err != nil || len(fields) < 9 {
			t.Fatalf("writes to %s: %q, %v", device, text, err)
		}
		return strings.Join(fields[4:7], " ") + ", in flight " + fields[8] // Documentation/block/stat.rst
	}
	for range 20 {
		before := writes()
		if err := copyFile(image, file); err != nil {
			t.Fatal(err)
		}
		if writes() == before && strings.HasSuffix(before, "in flight 0") {
			return
		}
	}
	t.Fatalf("%s is written to all the time, and cannot be copied at one moment", device)
}

func copyFile(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	return errors.Join(tree.Contents(w, r, info.Size()), w.Close())
}

func syncDir(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// search mounts a file with a file system on it, and looks for a file named
// synced, in it and in the images of file systems that it holds.
func search(t *testing.T, image, content string) (found, mounted bool) {
	t.Helper()
	device, err := block.Loop(t.Context(), image, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	}()
	dir := t.TempDir()
	for _, fstype := range []string{"ext4", "xfs", "btrfs"} {
		if mounted = unix.Mount(device.Path, dir, fstype, 0, "") == nil; mounted {
			break
		}
	}
	if !mounted {
		return false, false
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() >= 16<<20 {
			inner, _ := search(t, file, content)
			found = found || inner
			return nil
		}
		got, err := os.ReadFile(file) // all of it is read: that is a check too
		if d.Name() == "synced" {
			found = string(got) == content
		}
		return err
	})
	if err != nil {
		t.Errorf("after the power cut: %v", err)
	}
	return found, true
}
