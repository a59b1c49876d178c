package storagebench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// needOpenZFS is for what zfs-fuse, which ends with its process, knows not.
func needOpenZFS(t *testing.T) {
	t.Helper()
	err := ZFS{}.Probe(t.Context(), t.TempDir())
	if err == nil && isZFSFuse() {
		err = fmt.Errorf("the tools of ZFS are those of zfs-fuse")
	}
	if err != nil && required("openzfs") {
		t.Fatalf("this host should have OpenZFS (PLIMSOLL_REQUIRE), and has not: %v", err)
	}
	if err != nil {
		t.Skip(err)
	}
}

func TestOpenZFSSaysItsVersion(t *testing.T) {
	needOpenZFS(t)
	loaded, err := os.ReadFile("/sys/module/zfs/version")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := (ZFS{}).Info().Version, "OpenZFS "+strings.TrimSpace(string(loaded)); got != want {
		t.Errorf("version %q, want %q", got, want)
	}
}

// TestOpenZFSKilled kills a process at random moments, every second time with
// the tools that it has started.
func TestOpenZFSKilled(t *testing.T) {
	needOpenZFS(t)
	times := 10
	if testing.Short() {
		times = 2
	}
	dir, name := filepath.Join(t.TempDir(), "pool"), fmt.Sprintf("plimsoll-test-%d", os.Getpid())
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range times {
		after := rand.N(20 * time.Second) // all that it does takes as long in an emulated machine
		recorded := killPool(t, ZFS{}, dir, name, after, i%2 == 1)
		left := leftOfZFS(t, dir, name)
		if err := clean(t.Context(), dir, recorded); err != nil {
			t.Fatalf("killed after %v: %v", after, err)
		}
		// A loop device goes when the last on it has.
		for end := time.Now().Add(2 * time.Second); len(leftOfZFS(t, dir, name)) > 0 && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
		if still := leftOfZFS(t, dir, name); len(still) > 0 {
			t.Fatalf("killed after %v, then cleaned: left %q", after, still)
		}
		t.Logf("killed after %v: left %q, then nothing", after, left)
	}
}

// TestOpenZFSPowerCut imports what is on the device while something is not
// synced: the intent log has what is.
func TestOpenZFSPowerCut(t *testing.T) {
	needOpenZFS(t)
	pool, err := ZFS{}.Open(t.Context(), t.TempDir(), Options{Size: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := pool.Import(t.Context(), twoLayers()); err != nil {
		t.Fatal(err)
	}
	root, err := pool.Clone(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	synced := bytes.Repeat([]byte("synced"), 1<<19)
	for name, flags := range map[string]int{"synced": os.O_SYNC, "unsynced": 0} {
		f, err := os.OpenFile(filepath.Join(root, name), os.O_CREATE|os.O_WRONLY|flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(synced)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	p, crashed := pool.(*zfsPool), filepath.Join(t.TempDir(), "crashed")
	if _, err := block.Command(t.Context(), "cp", "--sparse=always", p.device.File, crashed); err != nil {
		t.Fatal(err)
	}
	// A host knows a pool by its number: the original goes first.
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	device, err := block.Loop(t.Context(), crashed, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	}()
	again := filepath.Join(t.TempDir(), "again")
	if _, err := block.Command(t.Context(), "zpool", "import", "-f", "-d", device.Path, "-o", "cachefile=none", "-R", again, p.name); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := destroyZpool(t.Context(), p.name); err != nil {
			t.Error(err)
		}
	}()
	got, err := os.ReadFile(filepath.Join(again, root, "synced"))
	if err != nil || !bytes.Equal(got, synced) {
		t.Errorf("what was synced: %d bytes, %v", len(got), err)
	}
}

// TestOpenZFSYanked: who waits for the device does not wait for ever, and the
// pool says what happened.
func TestOpenZFSYanked(t *testing.T) {
	needOpenZFS(t)
	pool, err := ZFS{}.Open(t.Context(), t.TempDir(), Options{Size: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := pool.(*zfsPool)
	if err := pool.Import(t.Context(), twoLayers()); err != nil {
		t.Fatal(err)
	}
	root, err := pool.Clone(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.device.Grow(4096); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(root, "new"), make([]byte, 4<<20), 0o600)
	block.Sync(root) // whatever these answer, they do
	if _, err := pool.Usage(t.Context()); !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), p.name) {
		t.Errorf("Usage: %v", err)
	}
	if _, err := pool.Clone(t.Context(), "b"); !errors.Is(err, unix.EIO) {
		t.Errorf("Clone: %v", err)
	}
	if err := pool.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if left := leftOfZFS(t, p.roots, p.name); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func leftOfZFS(t *testing.T, dir, name string) (left []string) {
	t.Helper()
	pools, err := zpools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left = slices.DeleteFunc(pools, func(p string) bool { return !strings.HasPrefix(p, name) })
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		left = append(left, "mount "+m.Mountpoint)
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if text, err := os.ReadFile(d); err == nil && strings.HasPrefix(string(text), dir) {
			left = append(left, d+" on "+string(text))
		}
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	return append(left, files...)
}
