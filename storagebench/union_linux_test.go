package storagebench

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"plimsoll/storagebench/tree"
)

// need skips the test where the host lacks a backend, unless PLIMSOLL_REQUIRE
// lists it.
func need(t *testing.T, name string) Backend {
	t.Helper()
	b, ok := Find(name)
	if !ok {
		t.Fatalf("no backend is called %s", name)
	}
	if err := b.Probe(t.Context(), t.TempDir()); err != nil {
		if m := (*Missing)(nil); !errors.As(err, &m) || slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), name) {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return b
}

// opened is a pool that must leave nothing.
func opened(t *testing.T, b Backend, o Options) Pool {
	t.Helper()
	dir := t.TempDir()
	p, err := b.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || bytes.Contains(mounts, []byte(dir)) {
			t.Errorf("something stays mounted below %s: %v", dir, err)
		}
		left, err := os.ReadDir(dir)
		for _, e := range left {
			t.Errorf("%s is left", e.Name())
		}
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	})
	return p
}

// layered is an image of n layers. The last hides what the first has in /old,
// and each adds a file to /each.
func layered(t *testing.T, n int) Image {
	image := Image{Name: "layered"}
	for i := range n {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		file := func(name, content string) {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, content)
		}
		dir := func(name string) {
			if err := w.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
				t.Fatal(err)
			}
		}
		dir("each")
		file(fmt.Sprintf("each/%d", i), "layer")
		if i == 0 {
			dir("old")
			file("old/file", "old")
			dir("dir")
			file("dir/file", "content")
			file("gone", "")
		}
		if i == n-1 && n > 1 {
			dir("old")
			file("old/.wh..wh..opq", "")
			file(".wh.gone", "")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		image.Layers = append(image.Layers, Layer{Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b.Bytes())), nil
		}})
	}
	return image
}

func imported(t *testing.T, b Backend, o Options, layers int) Pool {
	t.Helper()
	p := opened(t, b, o)
	if err := p.Import(t.Context(), layered(t, layers)); err != nil {
		t.Fatal(err)
	}
	return p
}

func cloned(t *testing.T, p Pool, id string) string {
	t.Helper()
	root, err := p.Clone(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

var unions = []string{"overlay", "overlay-metacopy", "overlay-volatile", "overlay-tmpfs", "fuse-overlayfs", "vfs"}

func TestChanges(t *testing.T) {
	for _, name := range unions {
		for _, place := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/place=%v", name, place), func(t *testing.T) {
				p := imported(t, need(t, name), Options{Size: 64 << 20, Place: place}, 3)
				root := cloned(t, p, "a")
				cloned(t, p, "b")
				if _, err := os.Lstat(root + "/old/file"); !os.IsNotExist(err) {
					t.Errorf("the opaque directory shows what is below it: %v", err)
				}
				in := func(name string) string { return filepath.Join(root, name) }
				for _, err := range []error{
					os.WriteFile(in("each/0"), []byte("other"), 0),
					os.WriteFile(in("each/1"), []byte("layer"), 0), // what it held
					os.Remove(in("each/2")),
					os.RemoveAll(in("dir")), // and anew: opaque
					os.Mkdir(in("dir"), 0o755),
					os.WriteFile(in("dir/new"), nil, 0o644),
					os.Chmod(root, 0o700),
					os.WriteFile(in("passing"), nil, 0o644),
					os.Remove(in("passing")),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
				want := []Change{{Path: "/", Kind: tree.Modified}, {Path: "/dir/file", Kind: tree.Deleted}, {Path: "/dir/new", Kind: tree.Added},
					{Path: "/each/0", Kind: tree.Modified}, {Path: "/each/2", Kind: tree.Deleted}}
				got, err := p.Diff(t.Context(), "a")
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v, (-want +got):\n%s", err, diff)
				}
				if got, err := p.Diff(t.Context(), "b"); err != nil || len(got) > 0 {
					t.Errorf("the other clone: %v, %v", got, err)
				}
				if u, err := p.Usage(t.Context()); err != nil || u.Free <= 0 || !place && u.Used <= 0 { // others use a place, too
					t.Errorf("%+v, %v", u, err)
				}
				if err := p.Remove(t.Context(), "a"); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(root); !os.IsNotExist(err) {
					t.Errorf("removed: %v", err)
				}
				cloned(t, p, "a")
			})
		}
	}
}

// More options than fit the page that mount(2) takes.
func TestManyLayers(t *testing.T) {
	for name, layers := range map[string]int{"overlay": 500, "fuse-overlayfs": 120} {
		t.Run(name, func(t *testing.T) {
			p := imported(t, need(t, name), Options{Size: 64 << 20}, layers)
			root := cloned(t, p, "a")
			entries, err := os.ReadDir(root + "/each")
			if err != nil || len(entries) != layers {
				t.Errorf("%d files, %v", len(entries), err)
			}
			if err := os.Remove(root + "/each/7"); err != nil {
				t.Fatal(err)
			}
			want := []Change{{Path: "/each/7", Kind: tree.Deleted}}
			if got, err := p.Diff(t.Context(), "a"); err != nil || !cmp.Equal(got, want) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// A layer more than overlayfs takes is an error that says so.
func TestTooManyLayers(t *testing.T) {
	p := opened(t, need(t, "overlay"), Options{Size: 64 << 20})
	err := p.Import(t.Context(), layered(t, 501))
	if err == nil || !strings.Contains(err.Error(), "overlayfs takes 500") {
		t.Errorf("got %v", err)
	}
}

func TestRemoveInUse(t *testing.T) {
	for _, name := range unions {
		t.Run(name, func(t *testing.T) {
			p := imported(t, need(t, name), Options{Size: 64 << 20}, 2)
			root := cloned(t, p, "a")
			f, err := os.OpenFile(root+"/each/0", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := p.Remove(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(root); !os.IsNotExist(err) {
				t.Errorf("removed: %v", err)
			}
			f.Close()
		})
	}
}

// An odd directory must not be taken for options.
func TestEscaped(t *testing.T) {
	for name, odd := range map[string]string{"overlay": `a:b,c\d e`, "fuse-overlayfs": `b,c\d e`} {
		t.Run(name, func(t *testing.T) {
			b := need(t, name)
			dir := filepath.Join(t.TempDir(), odd)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			p, err := b.Open(t.Context(), dir, Options{Size: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Import(t.Context(), layered(t, 2)); err != nil {
				t.Fatal(err)
			}
			root := cloned(t, p, "a")
			if got, err := os.ReadFile(root + "/each/0"); err != nil || string(got) != "layer" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestPoolFull(t *testing.T) {
	for _, name := range []string{"overlay", "vfs"} {
		t.Run(name, func(t *testing.T) {
			p := opened(t, need(t, name), Options{Size: 16 << 20})
			image := layered(t, 1)
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			if err := w.WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: 32 << 20}); err != nil {
				t.Fatal(err)
			}
			w.Write(make([]byte, 32<<20))
			w.Close()
			image.Layers[0].Open = func() (io.ReadCloser, error) { return io.NopCloser(&b), nil }
			err := p.Import(t.Context(), image)
			if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "pools.size") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A layer that does not list a directory leaves it as it is below.
func TestDirectoriesNotListed(t *testing.T) {
	lowest, top := new(bytes.Buffer), new(bytes.Buffer)
	w := tar.NewWriter(lowest)
	for _, h := range []tar.Header{{Name: "./", Mode: 0o711}, {Name: "home/", Mode: 0o750, Uid: 5, Gid: 6}, {Name: "home/me/", Mode: 0o700}} {
		h.Typeflag = tar.TypeDir
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	w = tar.NewWriter(top)
	if err := w.WriteHeader(&tar.Header{Name: "home/me/file", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	image := Image{Name: "gaps"}
	for _, b := range []*bytes.Buffer{lowest, top} {
		image.Layers = append(image.Layers, Layer{Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b.Bytes())), nil
		}})
	}
	for _, name := range unions {
		t.Run(name, func(t *testing.T) {
			p := opened(t, need(t, name), Options{Size: 64 << 20})
			if err := p.Import(t.Context(), image); err != nil {
				t.Fatal(err)
			}
			root := cloned(t, p, "a")
			for path, want := range map[string]string{"": "40711 0:0", "home": "40750 5:6", "home/me": "40700 0:0", "home/me/file": "100644 0:0"} {
				var st unix.Stat_t
				if err := unix.Lstat(filepath.Join(root, path), &st); err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid); got != want {
					t.Errorf("/%s: %s, want %s", path, got, want)
				}
			}
		})
	}
}

// A kernel that ignores an option, or adds one, is found out.
func TestOverlayIsWhatItSays(t *testing.T) {
	kinds := []overlay{Overlay, OverlayMetacopy, OverlayVolatile}
	for _, mounted := range kinds {
		p := opened(t, need(t, mounted.name), Options{Size: 64 << 20}).(*union)
		if err := os.MkdirAll(p.clones, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, asked := range kinds {
			err := asked.try(t.Context(), p)
			if m := (*Missing)(nil); errors.As(err, &m) == (asked == mounted) {
				t.Errorf("%s mounted as %s: %v", asked.name, mounted.name, err)
			}
		}
	}
}
