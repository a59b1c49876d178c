package block

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"
)

// need skips the test where the host lacks a capability, unless
// PLIMSOLL_REQUIRE lists it: then a lack is a failure.
func need(t *testing.T, capability string, has bool) {
	t.Helper()
	if has {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not", capability)
	}
	t.Skipf("needs %s", capability)
}

// scratch is a directory for a test that may mount and attach; what it leaves
// fails it.
func scratch(t *testing.T) string {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	_, err := os.Stat("/dev/loop-control")
	need(t, "loop", err == nil)
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, left := range leftBelow(t, dir) {
			t.Errorf("left: %s", left)
		}
	})
	return dir
}

func leftBelow(t *testing.T, dir string) (left []string) {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		left = append(left, "mount "+m.Mountpoint)
		unix.Unmount(m.Mountpoint, unix.MNT_DETACH)
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(text), dir) {
			left = append(left, "loop device "+f+" on "+string(text))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, "file "+e.Name())
	}
	return left
}

func TestLoopGrowsCountsAndGoes(t *testing.T) {
	file := filepath.Join(scratch(t), "image")
	d, err := Loop(t.Context(), file, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	before, err := d.Counters()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.Path, os.O_RDWR|unix.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{7}, 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	after, err := d.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Written - before.Written; got != 1<<20 {
		t.Errorf("%d bytes counted where 1 MiB was written", got)
	}
	if err := d.Grow(32 << 20); err != nil {
		t.Fatal(err)
	}
	if size, err := f.Seek(0, 2); err != nil || size != 32<<20 {
		t.Errorf("grown to %d bytes, %v", size, err)
	}
	f.Close()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestLoopOnAFileThatExistsLeavesIt(t *testing.T) {
	file := filepath.Join(scratch(t), "image")
	if _, err := Loop(t.Context(), file, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Loop(t.Context(), file, 1<<20); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file in the way: %v", err)
	}
	d, err := Loop(t.Context(), file, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(file); err != nil {
		t.Error(err)
	}
}

func TestGround(t *testing.T) {
	dir := scratch(t)
	g, err := NewGround(t.Context(), dir, Ext4, 1<<30, "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	before, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if before.Used != 0 || before.Free < 900<<20 {
		t.Errorf("new and empty: %+v", before)
	}
	if err := os.WriteFile(filepath.Join(g.Dir, "file"), bytes.Repeat([]byte{7}, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if after.Used != 8<<20 || after.Written-before.Written < 8<<20 {
		t.Errorf("8 MiB written: before %+v, after %+v", before, after)
	}
	inUse, err := os.Open(filepath.Join(g.Dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer inUse.Close()
	time.AfterFunc(100*time.Millisecond, func() { inUse.Close() })
	if err := g.Close(); err != nil { // waits for the file
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// TestGroundGivesBack: what was removed does not stay in the file for ever.
func TestGroundGivesBack(t *testing.T) {
	for _, fs := range []FileSystem{Ext4, restingXFS} {
		t.Run(fs.Type, func(t *testing.T) {
			g, err := NewGround(t.Context(), scratch(t), fs, 1<<30, "")
			need(t, map[string]string{"ext4": "loop", "xfs": "xfs-reflink"}[fs.Type], err == nil)
			defer g.Close()
			const written = 200 << 20
			file := filepath.Join(g.Dir, "file")
			if err := os.WriteFile(file, bytes.Repeat([]byte{7}, written), 0o600); err != nil {
				t.Fatal(err)
			}
			held := func() int64 {
				if _, err := g.Usage(); err != nil {
					t.Fatal(err)
				}
				var st unix.Stat_t
				if err := unix.Stat(g.Device.File, &st); err != nil {
					t.Fatal(err)
				}
				return st.Blocks * 512
			}
			if n := held(); n < written {
				t.Errorf("the file has %d bytes allocated, when %d were written", n, written)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if n := held(); n > written/2 {
				t.Errorf("the file still has %d bytes allocated, when all but nothing is in use", n)
			}
		})
	}
}

func TestGroundThatCannotBeMadeLeavesNothing(t *testing.T) {
	for name, fs := range map[string]FileSystem{
		"mkfs refuses":  {Type: "ext4", Make: []string{"-b", "7"}},
		"mkfs is not":   {Type: "nosuch"},
		"mount refuses": {Type: "ext4", Make: Ext4.Make, Data: "nosuchoption"},
	} {
		t.Run(name, func(t *testing.T) {
			if g, err := NewGround(t.Context(), scratch(t), fs, 64<<20, ""); err == nil {
				t.Error("made")
				g.Close()
			} else {
				t.Log(err)
			}
		})
	}
}

func TestOpenRefusesADeviceInUse(t *testing.T) {
	g, err := NewGround(t.Context(), scratch(t), Ext4, 64<<20, "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := Open(g.Device.Path); !errors.Is(err, unix.EBUSY) {
		t.Errorf("mounted: %v", err)
	}
	if _, err := Open(filepath.Join(g.Dir, "lost+found")); err == nil {
		t.Error("a directory was taken for a device")
	}
}

func TestPlaceGroundIsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	g, err := PlaceGround(dir)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := g.Usage(); err != nil || g.Dir != filepath.Join(dir, "ground") || u.Free <= 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestCommandSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	var missing *NotFound
	if _, err := Command(t.Context(), "mkfs.nosuch"); !errors.As(err, &missing) || missing.Tool != "mkfs.nosuch" {
		t.Errorf("%v", err)
	}
	t.Setenv("PATH", "/bin:/usr/bin")
	_, err := Command(t.Context(), "sh", "-c", "echo no such pool >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "no such pool") {
		t.Errorf("%v", err)
	}
}

func FuzzParseCounters(f *testing.F) {
	f.Add("   10 0 160 3 8 0 4096 1 0 4 4 0 0 0 0 0 0\n")
	f.Add("1 2 3")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCounters(text)
		if err == nil && (c.Read%512 != 0 || c.Written%512 != 0) {
			t.Errorf("%+v from %q", c, text)
		}
	})
}

// A host's disk that is full below a pool is an error, and holds nobody up.
func TestGroundOnAFullDisk(t *testing.T) {
	for _, fs := range []FileSystem{Ext4, restingXFS} {
		t.Run(fs.Type, func(t *testing.T) {
			dir := scratch(t)
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=120m"); err != nil {
				t.Fatal(err)
			}
			defer unix.Unmount(dir, unix.MNT_DETACH)
			g, err := NewGround(t.Context(), dir, fs, 300<<20, "")
			need(t, map[string]string{"ext4": "loop", "xfs": "xfs-reflink"}[fs.Type], err == nil)
			ended := make(chan error)
			go func() {
				for i := 0; err == nil && i < 30_000; i++ {
					err = os.WriteFile(filepath.Join(g.Dir, strconv.Itoa(i)), make([]byte, 5000), 0o600)
				}
				_, usageErr := g.Usage()
				ended <- errors.Join(err, usageErr)
				ended <- g.Close()
			}()
			for _, what := range []string{"Usage", "Close"} {
				select {
				case err := <-ended:
					t.Logf("%s: %v", what, err)
					if what == "Usage" && err == nil {
						t.Error("150 MB were written on a disk of 120 MiB")
					} else if what == "Close" && err != nil {
						t.Error(err)
					}
				case <-time.After(time.Minute):
					t.Fatalf("%s hangs", what)
				}
			}
		})
	}
}

var restingXFS = FileSystem{Type: "xfs", Make: []string{"-q", "-f", "-K"}, Late: true}

// After Usage a file system has nothing to write any more, and what that took is
// in no figure. A process that is killed half way leaves it frozen: Thaw.
func TestGroundRests(t *testing.T) {
	g, err := NewGround(t.Context(), scratch(t), restingXFS, 300<<20, "")
	need(t, "xfs-reflink", err == nil)
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	resting := func() (written int64) {
		t.Helper()
		before, err := g.Device.Counters()
		if err == nil {
			err = rest(g.Dir)
		}
		after, countErr := g.Device.Counters()
		if err := errors.Join(err, countErr); err != nil {
			t.Fatal(err)
		}
		return after.Written - before.Written
	}
	write := func(name string) {
		t.Helper()
		for i := range 300 {
			if err := os.WriteFile(filepath.Join(g.Dir, name+strconv.Itoa(i)), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("a")
	if err := Sync(g.Dir); err != nil {
		t.Fatal(err)
	}
	owed := resting()
	write("b")
	used, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if left := resting(); owed == 0 || left > owed/4 {
		t.Errorf("after a sync the log was written back with %d bytes, after Usage with %d", owed, left)
	}
	again, err := g.Usage()
	if err != nil || again.Written-used.Written > owed/4 {
		t.Errorf("nothing was done, and %d bytes written (%v)", again.Written-used.Written, err)
	}
	f, err := os.Open(g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Thaw(g.Dir), Thaw(g.Dir)); err != nil {
		t.Fatal(err)
	}
	write("c")
}

// Who keeps a device in use is named: here one that has a mount namespace of its
// own, and then one with the device open.
func TestHolders(t *testing.T) {
	g, err := NewGround(t.Context(), scratch(t), Ext4, 64<<20, "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	sleep := exec.Command("sleep", "60")
	sleep.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	if err := unix.Unmount(g.Dir, 0); err != nil {
		t.Fatal(err)
	}
	other := fmt.Sprintf("process %d (sleep) has it mounted at %s", sleep.Process.Pid, g.Dir)
	own := fmt.Sprintf("process %d (block.test) has it open", os.Getpid())
	if got := holders(g.Device.Path); !strings.Contains(got, other) || !strings.Contains(got, own) {
		t.Errorf("%s\nwant %s, and %s", got, other, own)
	}
}
