package storagebench

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// TestThinOnDevice takes a device that the user names, and gives it back
// without a volume group; by Undo, too.
func TestThinOnDevice(t *testing.T) {
	eachThin(t, func(t *testing.T, b Backend, dir, name string) {
		d, err := block.Loop(t.Context(), filepath.Join(t.TempDir(), "device"), 256<<20)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		for _, killed := range []bool{false, true} {
			p := openThin(t, b, dir, Options{Device: d.Path, Name: name})
			if err := p.Import(t.Context(), twoLayers()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Clone(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Open(t.Context(), t.TempDir(), Options{Name: name}); !errors.Is(err, os.ErrExist) {
				t.Errorf("a second pool of that name: %v, want ErrExist", err)
			}
			if !killed {
				err = p.Close()
			} else if err = clean(t.Context(), dir, thinResources(name)); err == nil {
				nothingLeft(t, b, dir, name)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestThinYanked takes the ground from under a pool.
func TestThinYanked(t *testing.T) {
	eachThin(t, func(t *testing.T, b Backend, dir, name string) {
		p := openThin(t, b, dir, Options{Size: 128 << 20, Name: name})
		if err := p.Import(t.Context(), twoLayers()); err != nil {
			t.Fatal(err)
		}
		root, err := p.Clone(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, "thin.img"), 0); err != nil {
			t.Fatal(err)
		}
		err = fill(filepath.Join(root, "filler"), 1<<20)
		if err == nil {
			_, err = p.Usage(t.Context())
		}
		if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EROFS) {
			t.Errorf("written to what is not there: %v, want EIO or EROFS", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}
