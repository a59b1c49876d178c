package storagebench_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/block"
)

// The file below a pool, and what is on it.
var onAFile = []struct {
	backend storagebench.Backend
	size    int64 // small, so that it is soon full
	file    string
	fstype  string // "" where no mount(2) mounts it
}{
	{storagebench.Btrfs{}, 512 << 20, "ground.img", "btrfs"},
	{storagebench.ZFS{}, 128 << 20, "pool.img", ""},
	{storagebench.XFSReflink{}, 300 << 20, "ground.img", "xfs"},
	{storagebench.LoopExt4, 600 << 20, "ground.img", "xfs"},
	{storagebench.LoopXFS, 600 << 20, "ground.img", "xfs"},
}

func oneFile(t *testing.T, content []byte) storagebench.Image {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "file", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return storagebench.Image{Name: "one file", Layers: []storagebench.Layer{{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
	}}}
}

// withClone runs a test on a pool with a clone that must leave nothing.
func withClone(t *testing.T, b storagebench.Backend, size int64, test func(p storagebench.Pool, dir, root string)) {
	t.Helper()
	wanted := slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), b.Info().Name)
	dir := t.TempDir()
	p, err := b.Open(t.Context(), dir, storagebench.Options{Size: size})
	var lack *storagebench.Missing
	if errors.As(err, &lack) {
		if wanted {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		began := time.Now()
		if err := p.Close(); err != nil {
			t.Logf("Close, after %v: %v", time.Since(began), err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			t.Errorf("left: %v, %v", entries, err)
		}
		devices, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, d := range devices {
			if file, err := os.ReadFile(d); err == nil && strings.HasPrefix(string(file), dir) {
				t.Errorf("left: %s on %s", d, file)
			}
		}
	}()
	if err := p.Import(t.Context(), oneFile(t, bytes.Repeat([]byte("plimsoll"), 1<<16))); err != nil {
		t.Fatal(err)
	}
	root, err := p.Clone(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	test(p, dir, root)
}

func TestFullOnAFile(t *testing.T) {
	for _, on := range onAFile {
		t.Run(on.backend.Info().Name, func(t *testing.T) {
			withClone(t, on.backend, on.size, func(p storagebench.Pool, _, root string) {
				err := fill(filepath.Join(root, "full"), on.size)
				if !errors.Is(err, unix.ENOSPC) {
					t.Errorf("filling a clone: %v", err)
				}
				if err := p.Remove(t.Context(), "a"); err != nil {
					t.Errorf("Remove of a full clone: %v", err)
				}
				if _, err := p.Usage(t.Context()); err != nil {
					t.Errorf("Usage: %v", err)
				}
				if root, err := p.Clone(t.Context(), "b"); err != nil {
					t.Errorf("Clone after that: %v", err)
				} else if err := os.WriteFile(filepath.Join(root, "new"), make([]byte, 1<<20), 0o600); err != nil {
					t.Errorf("there is room again, but: %v", err)
				}
			})
		})
	}
}

func fill(file string, most int64) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range most / int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return f.Sync()
}

// Everything that was written is gone at once. Whatever comes of it, it ends.
func TestLostOnAFile(t *testing.T) {
	for _, on := range onAFile {
		t.Run(on.backend.Info().Name, func(t *testing.T) {
			withClone(t, on.backend, on.size, func(p storagebench.Pool, dir, root string) {
				if _, err := p.Usage(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, size := range []int64{0, on.size} {
					if err := os.Truncate(filepath.Join(dir, on.file), size); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
					t.Fatal(err)
				}
				_, readErr := os.ReadFile(filepath.Join(root, "file"))
				writeErr := fill(filepath.Join(root, "new"), 8<<20)
				_, cloneErr := p.Clone(t.Context(), "b")
				_, diffErr := p.Diff(t.Context(), "a")
				t.Logf("read: %v\nwrite: %v\nclone: %v\ndiff: %v", readErr, writeErr, cloneErr, diffErr)
				// zfs-fuse has a cache in its own memory that holds all this.
				if on.fstype != "" && readErr == nil && writeErr == nil && cloneErr == nil && diffErr == nil {
					t.Error("nobody noticed")
				}
			})
		})
	}
}

// What was synced is there after a power cut: the device as it is at some
// moment in the middle of writing, mounted again.
func TestPowerCutOnAFile(t *testing.T) {
	for _, on := range onAFile {
		if on.fstype == "" {
			continue
		}
		t.Run(on.backend.Info().Name, func(t *testing.T) {
			dir := t.TempDir()
			cut := filepath.Join(dir, "cut.img")
			var clone string // below the ground
			withClone(t, on.backend, on.size, func(p storagebench.Pool, pool, root string) {
				clone = strings.TrimPrefix(root, filepath.Join(pool, "ground"))
				if err := fill(filepath.Join(root, "synced"), 4<<20); err != nil {
					t.Fatal(err)
				}
				if _, err := p.Usage(t.Context()); err != nil {
					t.Fatal(err)
				}
				written := make(chan error, 1)
				go func() { written <- fill(filepath.Join(root, "unsynced"), 32<<20) }()
				if _, err := block.Command(t.Context(), "cp", "--sparse=always", "--reflink=never", filepath.Join(pool, on.file), cut); err != nil {
					t.Error(err)
				}
				if err := <-written; err != nil {
					t.Error(err)
				}
			})
			d, err := block.Loop(t.Context(), cut, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			mnt := filepath.Join(dir, "mnt")
			if err := os.Mkdir(mnt, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := block.Mount(d.Path, mnt, on.fstype, 0, ""); err != nil {
				t.Fatalf("after a power cut: %v", err)
			}
			defer block.Unmount(mnt)
			if on.backend.Info().Kind == storagebench.Block {
				if files, err := filepath.Glob(filepath.Join(mnt, clone+"*.img")); len(files) != 1 {
					t.Errorf("files of the clone: %v, %v", files, err)
				}
				return
			}
			if info, err := os.Stat(filepath.Join(mnt, clone, "synced")); err != nil || info.Size() != 4<<20 {
				t.Errorf("what was synced: %v, %v", info, err)
			}
		})
	}
}
