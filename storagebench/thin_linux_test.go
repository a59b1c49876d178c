package storagebench

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"

	"plimsoll/storagebench/dm"
)

var thinBackends = []Backend{DMThin{}, LVMThin{}}

// eachThin runs a test for both backends, in an empty directory that must be
// empty at the end, as the host of all that is called name.
func eachThin(t *testing.T, test func(t *testing.T, b Backend, dir, name string)) {
	for _, b := range thinBackends {
		t.Run(b.Info().Name, func(t *testing.T) {
			needThinPool(t, b)
			dir, name := t.TempDir(), fmt.Sprintf("plimsoll-test-%d", os.Getpid())
			t.Cleanup(func() { nothingLeft(t, b, dir, name) })
			test(t, b, dir, name)
		})
	}
}

func needThinPool(t *testing.T, b Backend) {
	t.Helper()
	err := b.Probe(t.Context(), t.TempDir())
	if err != nil && required(b.Info().Name) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not: %v", b.Info().Name, err)
	}
	if err != nil {
		t.Skip(err)
	}
}

func required(capability string) bool {
	return slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability)
}

// nothingLeft looks for all that a pool can leave, and takes it away.
func nothingLeft(t *testing.T, b Backend, dir, name string) {
	t.Helper()
	left := append(leftovers(t, dir, name), groups(t, b, name)...)
	for _, l := range left {
		t.Errorf("left: %s", l)
	}
	if left != nil {
		t.Log(Undo(context.Background(), thinResources(name)))
	}
}

// thinResources are those of either backend: what is not there is no error.
func thinResources(name string) []Resource { return []Resource{{"dm", name}, {"vg", name}} }

// groups asks LVM, which takes a while.
func groups(t *testing.T, b Backend, name string) []string {
	t.Helper()
	if b != (LVMThin{}) {
		return nil
	}
	out, err := exec.Command("lvm", "vgs", "--noheadings", "--options", "vg_name", "--config", lvmConfig()).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), name) {
		return nil
	}
	return []string{"volume group " + name}
}

func leftovers(t *testing.T, dir, name string) (left []string) {
	t.Helper()
	c, err := dm.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	names, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(strings.ReplaceAll(n, "--", "-"), name) {
			left = append(left, "device "+n)
		}
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		left = append(left, "mount "+m.Mountpoint)
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(text), dir) {
			left = append(left, f+" on "+string(text))
		}
	}
	for _, pattern := range []string{dir + "/*", "/dev/" + name, "/dev/mapper/" + lvmDM(name, "*")} {
		nodes, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, nodes...)
	}
	return left
}

// twoLayers: etc/old goes with the second.
func twoLayers() Image {
	return Image{Name: "test", Layers: []Layer{
		archive(map[string]string{"etc/old": "old", "etc/same": "same", "bin/big": strings.Repeat("x", 1<<20)}),
		archive(map[string]string{"etc/.wh.old": "", "etc/new": "new"}),
	}}
}

func archive(files map[string]string) Layer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []string{"etc/", "bin/"} {
		w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755})
	}
	for name, text := range files {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		io.WriteString(w, text)
	}
	w.Close() // to memory
	return Layer{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }}
}

func openThin(t *testing.T, b Backend, dir string, o Options) Pool {
	t.Helper()
	p, err := b.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestThinPool(t *testing.T) {
	eachThin(t, func(t *testing.T, b Backend, dir, name string) {
		var recorded []Resource
		p := openThin(t, b, dir, Options{Size: 256 << 20, Name: name, Record: func(r Resource) error {
			recorded = append(recorded, r)
			return nil
		}})
		if len(recorded) != 1 || recorded[0].Name != name {
			t.Errorf("recorded %v", recorded)
		}
		if err := p.Import(t.Context(), twoLayers()); err != nil {
			t.Fatal(err)
		}
		before, err := p.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		roots := map[string]string{}
		for _, id := range []string{"a", "b"} {
			if roots[id], err = p.Clone(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(roots["a"] + "/etc/old"); !os.IsNotExist(err) {
			t.Errorf("etc/old: %v, want it gone with the second layer", err)
		}
		big, err := os.OpenFile(roots["a"]+"/bin/big", os.O_WRONLY, 0)
		if err == nil {
			_, err = big.WriteAt([]byte("y"), 1<<19)
			err = errors.Join(err, big.Sync(), big.Close())
		}
		err = errors.Join(err, os.Remove(roots["a"]+"/etc/same"), os.WriteFile(roots["a"]+"/etc/mine", nil, 0o644))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]Change{
			"a": {{Path: "/bin/big", Kind: "modify"}, {Path: "/etc/mine", Kind: "add"}, {Path: "/etc/same", Kind: "delete"}},
			"b": nil,
		}
		for id := range roots {
			got, err := p.Diff(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[id], got); d != "" {
				t.Errorf("diff of %s (-want +got):\n%s", id, d)
			}
		}
		after, err := p.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// One block of data each for: the file, directories and inodes, bitmaps,
		// the superblock, some of the journal. Not the file's MiB.
		if used := after.Used - before.Used; used < blockSize || used > 20*blockSize {
			t.Errorf("a changed byte and two clones use %d bytes", used)
		}
		if after.Written <= before.Written || after.Free >= before.Free {
			t.Errorf("usage before %+v, after %+v", before, after)
		}
		if err := p.Remove(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if _, err := p.Clone(t.Context(), "a"); err != nil {
			t.Errorf("second clone of that name: %v", err)
		}
	})
}

func TestThinRemoveInUse(t *testing.T) {
	eachThin(t, func(t *testing.T, b Backend, dir, name string) {
		p := openThin(t, b, dir, Options{Size: 128 << 20, Name: name})
		if err := p.Import(t.Context(), twoLayers()); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"removed", "left"} {
			root, err := p.Clone(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(root + "/bin/big")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
		}
		if err := p.Remove(t.Context(), "removed"); err != nil {
			t.Error(err)
		}
		if _, err := p.Clone(t.Context(), "removed"); err != nil {
			t.Errorf("clone of that name again: %v", err)
		}
		if err := p.Close(); err == nil || !strings.Contains(err.Error(), "open") {
			t.Errorf("Close: %v, want it to say that a volume is still open", err)
		}
	})
}

// TestThinFull writes more than there is. The image and another clone stay.
func TestThinFull(t *testing.T) {
	eachThin(t, func(t *testing.T, b Backend, dir, name string) {
		p := openThin(t, b, dir, Options{Size: 128 << 20, Name: name})
		if err := p.Import(t.Context(), twoLayers()); err != nil {
			t.Fatal(err)
		}
		var err error
		for _, id := range []string{"a", "b"} {
			var root string
			if root, err = p.Clone(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err = fill(filepath.Join(root, "filler"), 70<<20); err != nil {
				break
			}
		}
		// A file system on a thin volume finds out when it writes back.
		if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) {
			t.Errorf("140 MiB on 128: %v, want ENOSPC or EIO", err)
		}
		if u, err := p.Usage(t.Context()); !errors.Is(err, unix.ENOSPC) && u.Free > 0 {
			t.Errorf("usage %+v, %v, want it to say that the pool is full", u, err)
		}
		_, err = p.Clone(t.Context(), "late")
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("clone in a full pool: %v, want ENOSPC", err)
		}
		for _, id := range []string{"a", "b"} {
			if err := p.Remove(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
		if err == nil {
			err = p.Remove(t.Context(), "late")
		}
		// What they had used is free again.
		root, err := p.Clone(t.Context(), "after")
		if err == nil {
			err = fill(filepath.Join(root, "filler"), 50<<20)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func fill(file string, size int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for range size / len(buf) {
		if _, err := f.Write(buf); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Sync(), f.Close())
}
