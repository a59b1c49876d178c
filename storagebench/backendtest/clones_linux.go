package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
)

func testClones(t *testing.T, b storagebench.Backend) {
	for _, image := range []storagebench.Image{fixture(), synthetic(1, 1<<20)} {
		t.Run(image.Name, func(t *testing.T) {
			p := open(t, b, storagebench.Options{Size: poolSize})
			want := p.with(image)
			one, two := p.clone("one"), p.clone("two-2")
			p.holds("the first clone", one, want, true)
			p.expect("one", nil)

			// Every file, in whatever way.
			for _, name := range want.paths() {
				file := filepath.Join(one, name)
				switch want.at(name).kind() {
				case unix.S_IFREG:
					if err := os.WriteFile(file, []byte("written"), 0); err != nil {
						t.Error(err)
					}
				case unix.S_IFDIR:
					if err := os.Chmod(file, 0o700); err != nil {
						t.Error(err)
					}
				default:
					if err := os.Remove(file); err != nil {
						t.Error(err)
					}
				}
			}
			p.holds("a clone beside one that was changed", two, want, true)
			p.expect("two-2", nil)
			p.holds("a clone after one was changed", p.clone("three"), want, true)
			p.remove("one")
			p.holds("a clone beside one that was removed", two, want, true)
			p.holds("a clone by the name of one that was removed", p.clone("one"), want, true)
			p.expect("one", nil)
		})
	}
}

func testIDs(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: poolSize})
	p.with(fixture())
	for _, id := range []string{"", ".", "..", "a/b", "../a", "a b", "ä", "a\x00", "a,b=c", "a:b"} {
		if root, err := p.Clone(t.Context(), id); err == nil {
			t.Errorf("Clone %q: %s", id, root)
		}
		if changes, err := p.Diff(t.Context(), id); err == nil {
			t.Errorf("Diff %q: %v", id, changes)
		}
		if err := p.Remove(t.Context(), id); err == nil {
			t.Errorf("Remove %q was no error", id)
		}
	}
	p.clone("twice")
	if root, err := p.Clone(t.Context(), "twice"); err == nil {
		t.Errorf("Clone by a name that is taken: %s", root)
	}
	p.expect("twice", nil)
	p.remove("twice")
	if err := p.Remove(t.Context(), "twice"); err == nil {
		t.Error("Remove of what is gone was no error")
	}
	if _, err := p.Diff(t.Context(), "never"); err == nil {
		t.Error("Diff of what never was was no error")
	}
}

// A clone goes while it is used, and a pool closes. Who has a file open keeps it.
func testInUse(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: poolSize})
	want := p.with(fixture())
	use := func(root string) *os.File {
		f, err := os.OpenFile(filepath.Join(root, "big"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if _, err := f.WriteAt([]byte("used"), 100_000); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := use(p.clone("a"))
	p.remove("a")
	// What a backend does with one who still reads is its own matter, but it
	// comes to an end.
	f.ReadAt(make([]byte, 4), 100_000)
	f.Close()
	p.holds("a clone by the name of one that was removed in use", p.clone("a"), want, true)

	// One who has a directory open goes on making files in it.
	busy, err := os.Open(filepath.Join(p.clone("busy"), "tree"))
	if err != nil {
		t.Fatal(err)
	}
	made := make(chan int, 1)
	removed := make(chan struct{})
	go func() {
		n := 0
		for ; ; n++ {
			fd, err := unix.Openat(int(busy.Fd()), fmt.Sprint("busy", n), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
			if err == nil {
				unix.Close(fd)
			}
			select {
			case <-removed:
				busy.Close()
				made <- n
				return
			default:
			}
			if err != nil {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	time.Sleep(50 * time.Millisecond)
	p.remove("busy")
	close(removed)
	if n := <-made; n == 0 {
		t.Error("no file was made while the clone was removed")
	}
	p.holds("a clone by the name of one that was busy", p.clone("busy"), want, true)

	f = use(p.clone("b"))
	time.AfterFunc(100*time.Millisecond, func() { f.Close() })
	if err := p.Close(); err != nil {
		t.Errorf("Close with a clone that is used a little longer: %v", err)
	}
}

func testAtOnce(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: poolSize})
	p.with(fixture())
	const clones = 8
	each := func(do func(id string) error) {
		t.Helper()
		var all sync.WaitGroup
		for i := range clones {
			all.Go(func() {
				if err := do(fmt.Sprintf("c%d", i)); err != nil {
					t.Errorf("c%d: %v", i, err)
				}
			})
		}
		all.Wait()
	}
	var roots sync.Map
	for range 2 {
		each(func(id string) error {
			root, err := p.Clone(t.Context(), id)
			if err != nil {
				return err
			}
			roots.Store(id, root)
			return os.WriteFile(filepath.Join(root, id), []byte(id), 0o600)
		})
		for i := range clones {
			id := fmt.Sprintf("c%d", i)
			p.expect(id, []storagebench.Change{{Path: "/" + id, Kind: "add"}})
		}
		each(func(id string) error { return p.Remove(t.Context(), id) })
	}
}

// failing is a layer whose archive ends in an error after some bytes.
func failing(layer storagebench.Layer, after int64, fail func() error) storagebench.Layer {
	return storagebench.Layer{Open: func() (io.ReadCloser, error) {
		r, err := layer.Open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r, after), failReader(fail)), r}, nil
	}}
}

type failReader func() error

func (f failReader) Read([]byte) (int, error) { return 0, f() }

// A context that is cancelled in the middle leaves a pool that closes.
func testCancelled(t *testing.T, b storagebench.Backend) {
	t.Run("import", func(t *testing.T) {
		p := open(t, b, storagebench.Options{Size: poolSize})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		image := synthetic(1, 1<<20)
		image.Layers[2] = failing(image.Layers[2], 100_000, func() error { cancel(); return ctx.Err() })
		if err := p.Import(ctx, image); !errors.Is(err, context.Canceled) {
			t.Errorf("Import: %v", err)
		}
	})
	t.Run("clone", func(t *testing.T) {
		p := open(t, b, storagebench.Options{Size: poolSize})
		want := p.with(fixture())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		// A backend may be too quick to notice: then it has made a clone.
		if _, err := p.Clone(ctx, "a"); err == nil {
			p.remove("a")
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("Clone: %v", err)
		}
		p.holds("a clone by the same name", p.clone("a"), want, true)
	})
}
