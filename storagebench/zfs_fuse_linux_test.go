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
	"sync"
	"syscall"
	"testing"
	"time"

	"plimsoll/storagebench/block"
)

// zfsFusePool gives a pool with an image of a file and a directory.
func zfsFusePool(t *testing.T) *zfsPool {
	t.Helper()
	lack := func(why any) {
		if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), "zfs") {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	if os.Geteuid() != 0 {
		lack("needs root")
	}
	if strings.HasPrefix(zfsVersion(), "OpenZFS") {
		t.Skip("needs zfs-fuse; this host has OpenZFS")
	}
	if !isZFSFuse() {
		lack("needs zfs-fuse")
	}
	p, err := ZFS{}.Open(t.Context(), t.TempDir(), Options{Size: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, h := range []*tar.Header{
		{Name: "file", Typeflag: tar.TypeReg, Mode: 0o644, Size: 5},
		{Name: "dir", Typeflag: tar.TypeDir, Mode: 0o755},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, "image")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	image := Image{Name: "small", Layers: []Layer{{Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	}}}}
	if err := p.Import(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	return p.(*zfsPool)
}

func zfsClone(t *testing.T, p *zfsPool, id string) string {
	t.Helper()
	root, err := p.Clone(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// use leaves zfs-fuse to hear of files that were closed.
func use(root string) error {
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("clone"), 0); err != nil {
		return err
	}
	for _, name := range []string{"", "file", "dir", "file", "dir"} {
		f, err := os.Open(filepath.Join(root, name))
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// Clones come and go in two pools at once. A clone that is removed while
// zfs-fuse has yet to hear that its files were closed made it deaf, once in
// three times.
func TestZFSFuseComeAndGo(t *testing.T) {
	cycles := 10
	if os.Getenv("PLIMSOLL_MEASURE") != "" {
		cycles = 500
	}
	pools := []*zfsPool{zfsFusePool(t), zfsFusePool(t)}
	var all sync.WaitGroup
	for _, p := range pools {
		all.Go(func() {
			for i := range cycles {
				id := fmt.Sprintf("c%d", i)
				root, err := p.Clone(t.Context(), id)
				if err == nil {
					err = use(root)
				}
				if err = errors.Join(err, p.Remove(t.Context(), id)); err != nil {
					t.Errorf("%d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, p := range pools {
		if n := p.fuse.sessions(); n != 1 || len(p.removed) > 0 {
			t.Errorf("%d file systems are mounted where one image is, and %q stayed", n, p.removed)
		}
	}
}

// stop keeps zfs-fuse from hearing anything.
func stop(t *testing.T, p *zfsPool) (resume func()) {
	t.Helper()
	if err := p.fuse.daemon.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	threads := func() (running []string) {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.fuse.daemon.Process.Pid))
		for _, file := range files {
			if text, _ := os.ReadFile(file); !strings.Contains(string(text), ") T ") { // proc_pid_stat(5)
				running = append(running, string(text))
			}
		}
		return running
	}
	for end := time.Now().Add(10 * time.Second); len(threads()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("zfs-fuse does not stop: %q", threads())
		}
	}
	return func() { p.fuse.daemon.Process.Signal(syscall.SIGCONT) }
}

// closeUnheard closes a directory that zfs-fuse does not hear of until resumed.
func closeUnheard(t *testing.T, p *zfsPool, root string) (resume func()) {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "dir"))
	if err != nil {
		t.Fatal(err)
	}
	resume = stop(t, p)
	f.Close()
	return resume
}

func TestZFSFuseUnmountsWhatIsClosed(t *testing.T) {
	p := zfsFusePool(t)
	resume := closeUnheard(t, p, zfsClone(t, p, "a"))
	removed := make(chan error, 1)
	go func() { removed <- p.Remove(t.Context(), "a") }()
	select {
	case err := <-removed:
		t.Errorf("Remove did not wait until zfs-fuse knew that nothing is open: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	resume()
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if err := use(zfsClone(t, p, "b")); err != nil {
		t.Error(err)
	}
}

// A mount in a namespace that does not hear of ours keeps a clone busy, and
// nobody else.
func TestZFSFuseMountedElsewhere(t *testing.T) {
	p := zfsFusePool(t)
	root := zfsClone(t, p, "a")
	elsewhere := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo && exec cat")
	stdin, err := elsewhere.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := elsewhere.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := use(root); err != nil {
		t.Error(err)
	}
	if err := p.Remove(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := use(zfsClone(t, p, "b")); err != nil {
		t.Error(err)
	}
	if len(p.removed) != 1 {
		t.Errorf("to be removed: %q", p.removed)
	}
	stdin.Close()
	if err := elsewhere.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := p.Usage(t.Context()); err != nil {
		t.Error(err)
	}
	if len(p.removed) != 0 {
		t.Errorf("not removed: %q", p.removed)
	}
}

// One that never answers again is killed, and its pool alone is lost.
func TestZFSFuseDeaf(t *testing.T) {
	other := zfsFusePool(t)
	otherRoot := zfsClone(t, other, "other")
	for _, test := range []struct {
		name string
		do   func(ctx context.Context, p *zfsPool, root string) error
		want string
	}{
		{"removed", func(ctx context.Context, p *zfsPool, root string) error {
			return p.Remove(ctx, "a")
		}, "did not answer"},
		{"asked", func(ctx context.Context, p *zfsPool, root string) error {
			_, err := os.ReadDir(root)
			return err
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := zfsFusePool(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			root, err := p.Clone(ctx, "a")
			if err != nil {
				t.Fatal(err)
			}
			p.fuse.patience.Store(int64(200 * time.Millisecond))
			time.AfterFunc(time.Second, cancel)
			closeUnheard(t, p, root)
			if err := test.do(ctx, p, root); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			<-p.fuse.ended
			if _, err := p.Clone(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), "zfs-fuse ended, signal: killed") {
				t.Errorf("Clone without zfs-fuse: %v", err)
			}
		})
	}
	if err := use(otherRoot); err != nil {
		t.Errorf("another pool: %v", err)
	}
}

// What was synced is there after a power cut: the device as it was at some
// moment in the middle of writing, imported again.
func TestZFSFusePowerCut(t *testing.T) {
	p := zfsFusePool(t)
	root := zfsClone(t, p, "a")
	synced := bytes.Repeat([]byte("synced"), 1<<19)
	write := func(name string) error {
		f, err := os.Create(filepath.Join(root, name))
		if err != nil {
			return err
		}
		_, err = f.Write(synced)
		return errors.Join(err, f.Sync(), f.Close())
	}
	if err := write("synced"); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- write("unsynced") }()
	dir := t.TempDir()
	crashed := filepath.Join(dir, "crashed")
	if _, err := block.Command(t.Context(), "cp", "--sparse=always", "--reflink=never", p.device.File, crashed); err != nil {
		t.Error(err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}

	mounted := filepath.Join(t.TempDir(), "mounted")
	z, err := startZFSFuse(t.Context(), mounted, p.device)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := z.close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := z.command(t.Context(), "zpool", "import", "-f", "-d", dir, "-R", mounted, p.name); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(mounted, root, "synced"))
	if err != nil || !bytes.Equal(got, synced) {
		t.Errorf("what was synced: %d bytes, %v", len(got), err)
	}
}
