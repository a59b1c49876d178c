package isolate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func init() {
	acts["change"] = func() error {
		return errors.Join(
			os.WriteFile("/data/new", []byte("x"), 0o644),
			os.WriteFile("/data/old", []byte("x"), 0o644),
			os.Remove("/data/gone"),
			os.RemoveAll("/data/dir"), // and made anew: opaque
			os.Mkdir("/data/dir", 0o755),
			os.WriteFile("/data/dir/b", nil, 0o644),
			os.Mkdir("/made", 0o755),
			os.WriteFile("/made/file", nil, 0o644),
			os.Chmod("/data/private", 0o700),
			os.RemoveAll("/data/tree"),
			os.WriteFile("/data/tree", nil, 0o644),
			os.WriteFile("/data/brief", nil, 0o644),
			os.Remove("/data/brief"),
			os.Symlink("b", "/data/link"),
		)
	}
}

func TestChanges(t *testing.T) {
	f := newFixture(t)
	top := t.TempDir() // a second layer, which hides and replaces
	for _, name := range []string{"data/old", "data/gone", "data/dir/a", "data/dir/b", "data/private/x", "data/tree/x"} {
		file := filepath.Join(f.image, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(top+"/data/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(top+"/data/dir/c", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	spec := f.spec("change", os.Stderr)
	spec.Root.Overlay.Lower = []string{top, f.image}
	c := f.start(spec)
	if exit, err := c.Wait(t.Context()); err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	got, err := c.Changes()
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{"/data/dir/a", Deleted}, {"/data/dir/b", Modified}, {"/data/dir/c", Deleted},
		{"/data/gone", Deleted}, {"/data/link", Added}, {"/data/new", Added}, {"/data/old", Modified},
		{"/data/private", Modified}, {"/data/tree", Modified}, {"/made", Added}, {"/made/file", Added},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestNoChanges(t *testing.T) {
	f := newFixture(t)
	c := f.start(f.spec("true", nil))
	if exit, err := c.Wait(t.Context()); err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	if got, err := c.Changes(); err != nil || len(got) > 0 {
		t.Errorf("a program that did nothing changed %v, %v", got, err)
	}
	if _, err := (&Container{}).Changes(); err == nil || fmt.Sprint(err) != "changes: the container has no overlay with an upper directory" {
		t.Errorf("got %v", err)
	}
}
