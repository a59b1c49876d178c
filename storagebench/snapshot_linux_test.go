package storagebench

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/storagebench/tree"
)

func layerOf(files ...string) Layer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if f[len(f)-1] == '/' {
			w.WriteHeader(&tar.Header{Name: f, Typeflag: tar.TypeDir, Mode: 0o755})
			continue
		}
		w.WriteHeader(&tar.Header{Name: f, Typeflag: tar.TypeReg, Mode: 0o644, Size: 100000})
		w.Write(bytes.Repeat([]byte(f[:1]), 100000))
	}
	w.Close()
	return Layer{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }}
}

func TestSmoke(t *testing.T) {
	for _, b := range Backends() {
		t.Run(b.Info().Name, func(t *testing.T) {
			dir := t.TempDir()
			if err := b.Probe(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			p, err := b.Open(t.Context(), dir, Options{Size: 1 << 30})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Import(t.Context(), Image{Name: "x", Layers: []Layer{layerOf("d/", "d/a", "d/b", "e/", "e/f/", "e/f/g"), layerOf("d/c", "d/a")}}); err != nil {
				t.Fatal(err)
			}
			u0, err := p.Usage(t.Context())
			t.Logf("%+v %v", u0, err)
			root, err := p.Clone(t.Context(), "one")
			if err != nil {
				t.Fatal(err)
			}
			u1, err := p.Usage(t.Context())
			t.Logf("%+v %v", u1, err)
			if c, err := p.Diff(t.Context(), "one"); err != nil || len(c) > 0 {
				t.Errorf("%v %v", c, err)
			}
			os.WriteFile(filepath.Join(root, "d/a"), []byte("x"), 0o644)
			os.WriteFile(filepath.Join(root, "d/n"), []byte("x"), 0o644)
			os.Rename(filepath.Join(root, "e"), filepath.Join(root, "d/e"))
			os.Remove(filepath.Join(root, "d/c"))
			os.Mkdir(filepath.Join(root, "e"), 0o700)
			want := []Change{{Path: "/d/a", Kind: tree.Modified}, {Path: "/d/c", Kind: tree.Deleted}, {Path: "/d/e", Kind: tree.Added}, {Path: "/d/e/f", Kind: tree.Added}, {Path: "/d/e/f/g", Kind: tree.Added}, {Path: "/d/n", Kind: tree.Added}, {Path: "/e", Kind: tree.Modified}, {Path: "/e/f", Kind: tree.Deleted}}
			c, err := p.Diff(t.Context(), "one")
			if d := cmp.Diff(want, c); err != nil || d != "" {
				t.Errorf("%v %v", d, err)
			}
			if err := p.Remove(t.Context(), "one"); err != nil {
				t.Error(err)
			}
			u1, err = p.Usage(t.Context())
			t.Logf("%+v %v", u1, err)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			es, _ := os.ReadDir(dir)
			for _, e := range es {
				t.Error(e.Name())
			}
		})
	}
}
