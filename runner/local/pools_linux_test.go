package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/storagebench"
	"plimsoll/storagebench/block"
	"plimsoll/storagebench/image"
)

// TestBackendsAreThoseOfTheProfile: two lists of one thing, since profiles are
// read where there is no Linux.
func TestBackendsAreThoseOfTheProfile(t *testing.T) {
	var built []profiles.Backend
	for _, b := range storagebench.Backends() {
		built = append(built, profiles.Backend{Name: b.Info().Name, Kind: string(b.Info().Kind)})
	}
	if !slices.Equal(built, profiles.Backends) {
		t.Errorf("storagebench has %v, profiles %v", built, profiles.Backends)
	}
}

// smallImage keeps pools quick to make.
const smallImage = "{layers: [2], files: [60], size: [1MiB]}"

func TestWorkloadsOnStorage(t *testing.T) {
	want := map[string][]string{
		"import":       {"disk_per_image", "import"},
		"provision":    {"delete", "disk_per_clone", "provision"},
		"small_change": {"small_change", "small_change_again", "write_amplification"},
		"large_change": {"large_change", "large_change_again", "write_amplification"},
		"churn":        {"create", "rename", "unlink"},
		"diff":         {"diff"},
		"page_cache":   {"page_cache_per_clone"},
	}
	storages := []string{"overlay", "btrfs", "zfs", "xfs-reflink", "loop-ext4", "vfs"}
	if testing.Short() {
		storages = []string{"overlay", "xfs-reflink"}
	}
	for _, storage := range storages {
		t.Run(storage, func(t *testing.T) {
			e := open(t, profile(t, `
rounds: 1
factors:
  workload: [import, provision, small_change, large_change, churn, diff, page_cache]
  runtime: [bare]
  storage: [`+storage+`]
pools: {size: 640MiB}
workloads:
  import: {params: `+smallImage+`}
  provision: {params: `+smallImage+`}
  small_change: {params: `+strings.Replace(smallImage, "}", ", changes: [10]}", 1)+`}
  large_change: {params: {file: [8MiB]}}
  churn: {params: `+strings.Replace(smallImage, "}", ", changes: [10]}", 1)+`}
  diff: {params: `+strings.Replace(smallImage, "}", ", changes: [9]}", 1)+`}
  page_cache: {params: {file: [8MiB]}}
`))
			need(t, "root", os.Getuid() == 0)
			outcomes := runAll(t, e)
			need(t, storage, len(outcomes) > 0)
			for key, o := range outcomes {
				got := metrics(o)
				for _, m := range want[key.Workload] {
					if !slices.Contains(got, m) {
						t.Errorf("%s: no %s in %v", key, m, got)
					}
				}
			}
		})
	}
}

// TestContainersOnStorage starts containers on clones of pools, and commits
// what changed in them.
func TestContainersOnStorage(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors:
  workload: [startup, lifecycle, io]
  runtime: [isolate]
  storage: [overlay-metacopy, btrfs, xfs-reflink, loop-xfs, vfs]
  fleet: [3]
pools: {size: 640MiB}
workloads:
  io: {params: {part: [fsync], size: [64KiB], duration: [2ms]}}
  lifecycle: {params: {changes: [5]}}
`))
	need(t, "root", os.Getuid() == 0)
	committed := 0
	for key, o := range runAll(t, e) {
		if key.Workload == "lifecycle" && slices.Contains(metrics(o), "commit") {
			committed++
		}
	}
	if committed == 0 {
		t.Error("no storage could commit what changed in a container")
	}
	if left, _ := filepath.Glob(e.dirs[0].base + "/trial-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestPoolThatCannotBeBuilt fails its trials with the reason, and no others.
func TestPoolThatCannotBeBuilt(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors: {workload: [provision], runtime: [bare], storage: [btrfs, vfs]}
pools: {size: 640MiB}
workloads: {provision: {params: `+smallImage+`}}
`))
	need(t, "root", os.Getuid() == 0)
	for _, storage := range []string{"vfs", "btrfs"} {
		key := runner.Key{Workload: "provision", Runtime: "bare", Storage: storage, Dir: e.dirs[0].level}
		o, err := e.Run(t.Context(), runner.Trial{Key: key})
		if err != nil || o.Failure != nil {
			t.Fatalf("%s: %v, %+v", storage, err, o.Failure)
		}
	}
	e.profile.Pools.Image = "dir:/was/there/at/first"
	e.pools.user.Layers = []storagebench.Layer{{Open: func() (io.ReadCloser, error) { return os.Open("/nonexistent") }}}
	o, err := e.Run(t.Context(), runner.Trial{Key: runner.Key{Workload: "provision", Runtime: "bare", Storage: "vfs", Dir: e.dirs[0].level}})
	if err != nil || o.Failure == nil || !strings.Contains(o.Failure.Error, "/nonexistent") {
		t.Errorf("%v, %+v", err, o.Failure)
	}
	below, err := mountinfo.GetMounts(mountinfo.PrefixFilter(e.dirs[0].base))
	if err != nil {
		t.Fatal(err)
	}
	if len(below) == 0 {
		t.Error("the pools that could be built are gone too")
	}
}

// TestFullWorkDirectory: the storage that finds it full is told so and taken
// away, and there is room for others again.
func TestFullWorkDirectory(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	e := open(t, profile(t, `
rounds: 1
factors: {workload: [provision], runtime: [bare], storage: [overlay, vfs], dir: ['`+dir+`']}
pools: {size: 640MiB}
`))
	const room = 40 << 20
	free := func() int64 {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		return int64(st.Bfree) * st.Bsize
	}
	ballast, err := os.Create(filepath.Join(e.dirs[0].base, "ballast"))
	if err == nil {
		err = unix.Fallocate(int(ballast.Fd()), 0, 0, free()-room)
	}
	if err = errors.Join(err, ballast.Close()); err != nil {
		t.Fatal(err)
	}
	provision := func(storage, size string, clones int) *runner.Failure {
		o, err := e.Run(t.Context(), runner.Trial{Key: runner.Key{
			Workload: "provision", Runtime: "bare", Storage: storage, Dir: e.dirs[0].level,
			Params: fmt.Sprintf("layers=2,files=60,size=%s,clones=%d", size, clones),
		}})
		if err != nil {
			t.Fatal(err)
		}
		return o.Failure
	}
	for range 2 { // the second time, nothing is tried again
		f := provision("vfs", "16MiB", 8)
		if f == nil || !strings.Contains(f.Error, dir+" has ") || !strings.Contains(f.Error, "--work-dir") {
			t.Errorf("%+v", f)
		}
		if left := free(); left < room-1<<20 {
			t.Errorf("%d bytes are left of %d, when the pool that took them has failed", left, room)
		}
	}
	if f := provision("overlay", "1MiB", 1); f != nil {
		t.Errorf("%+v", f)
	}
}

// newDisk is a file system of its own, for the test.
func newDisk(t *testing.T, fs block.FileSystem, size int64) *block.Ground {
	t.Helper()
	disk, err := block.NewGround(t.Context(), workDirOf(t), fs, size, "")
	need(t, "loop", err == nil)
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// TestPoolsMakeRoom has more pools than the work directory's disk can hold.
func TestPoolsMakeRoom(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	disk := newDisk(t, block.Ext4, 640<<20)
	p := profile(t, `
rounds: 1
factors: {workload: [provision], runtime: [bare], storage: [vfs]}
pools: {size: 512MiB}
workloads: {provision: {params: {layers: [1], files: [50], size: [60MiB, 61MiB, 62MiB, 63MiB, 64MiB, 65MiB]}}}
`)
	p.Factors.Dir = []string{disk.Dir}
	e := open(t, p)
	if n := len(runAll(t, e)); n != 12 { // with the controls
		t.Errorf("%d cells ran", n)
	}
	if n := len(e.pools.open); n == 0 || n > 5 {
		t.Errorf("%d pools are open still: %v", n, e.pools.open)
	}
}

// TestCleanThaws: a run that is killed in the middle of a freeze leaves a file
// system frozen below another, whose unmount writes to it.
func TestCleanThaws(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	dir := filepath.Join(workDirOf(t), dirPrefix+"thaw")
	pool := filepath.Join(dir, "pool")
	if err := os.MkdirAll(pool, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := storagebench.LoopXFS.Open(t.Context(), pool, storagebench.Options{Size: 640 << 20})
	need(t, "loop-xfs", err == nil)
	defer p.Close()
	if err := p.Import(t.Context(), image.Synthetic(image.Spec{Layers: 1, Files: 10, Size: 1 << 20})); err != nil {
		t.Fatal(err)
	}
	root, err := p.Clone(t.Context(), "clone")
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "dirty"), make([]byte, 1<<20), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ground, err := os.Open(filepath.Join(pool, "ground"))
	if err != nil {
		t.Fatal(err)
	}
	const fiFreeze, fiThaw = 0xc0045877, 0xc0045878
	if err := unix.IoctlSetInt(int(ground.Fd()), fiFreeze, 0); err != nil {
		t.Fatal(err)
	}
	defer ground.Close()
	done := make(chan error, 1)
	go func() { done <- unmountBelow(dir) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("unmounting waits for the file system that is frozen")
		unix.IoctlSetInt(int(ground.Fd()), fiThaw, 0)
		<-done
	}
}

// TestNeverCold skips what could not start from cold, instead of failing.
func TestNeverCold(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors: {workload: [large_change], runtime: [bare], storage: [fuse-overlayfs, vfs], cache: [warm, cold]}
pools: {size: 640MiB}
workloads: {large_change: {params: {file: [8MiB]}}}
`))
	need(t, "root", os.Getuid() == 0)
	ran := map[string]bool{}
	for key := range runAll(t, e) {
		ran[key.Storage+" "+key.Cache] = true
	}
	need(t, "fuse-overlayfs", ran["fuse-overlayfs warm"])
	if ran["fuse-overlayfs cold"] || !ran["vfs cold"] {
		t.Errorf("ran: %v", ran)
	}
}

// TestPlace has storages stand on the user's own file system: what that cannot
// do is skipped, with its reason.
func TestPlace(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	for _, fs := range []struct {
		block.FileSystem
		reflinks bool
	}{
		{block.Ext4, false},
		{block.FileSystem{Type: "xfs", Make: []string{"-q", "-f", "-m", "reflink=1"}, Late: true}, true},
		{block.FileSystem{Type: "btrfs", Make: []string{"-q", "-f"}, Late: true}, true},
	} {
		t.Run(fs.Type, func(t *testing.T) {
			_, err := block.Find("mkfs." + fs.Type)
			need(t, fs.Type, err == nil)
			disk := newDisk(t, fs.FileSystem, 2<<30)
			p := profile(t, `
rounds: 1
factors: {workload: [provision, small_change, quirks, startup], runtime: [isolate], storage: [overlay-volatile, xfs-reflink, btrfs, loop-ext4, vfs]}
pools: {place: true, size: 640MiB}
workloads:
  provision: {params: `+smallImage+`}
  small_change: {params: `+strings.Replace(smallImage, "}", ", changes: [10]}", 1)+`}
  quirks: {params: {fill: [false]}}
`)
			p.Factors.Dir = []string{disk.Dir}
			e := open(t, p)
			ran := map[string]int{}
			for key := range runAll(t, e) {
				ran[key.Storage]++
			}
			for _, storage := range p.Factors.Storage {
				if want := storage != "xfs-reflink" || fs.reflinks; (ran[storage] > 0) != want {
					t.Errorf("%s ran %d cells on %s, want some: %v", storage, ran[storage], fs.Type, want)
				}
			}
			ground := e.Levels()["storage"]
			if of := ground["vfs"]["ground"]; of != "the work directory" {
				t.Errorf("vfs stands on %s", of)
			}
			if of := ground["btrfs"]["ground"]; of == "the work directory" {
				t.Errorf("btrfs stands on %s", of)
			}
		})
	}
}
