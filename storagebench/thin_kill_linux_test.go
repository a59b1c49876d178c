package storagebench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"

	"plimsoll/storagebench/dm"
)

// victim names the environment variable by which this binary is a process to be
// killed: backend, directory and name of a pool.
const victim = "PLIMSOLL_TEST_THIN_VICTIM"

func TestMain(m *testing.M) {
	if v := os.Getenv(victim); v != "" {
		f := strings.Split(v, ":")
		if err := livePool(f[0], f[1], f[2]); err != nil {
			os.Stderr.WriteString(err.Error())
		}
		os.Exit(1) // it was to be killed
	}
	// Where the capability is required the host is ours, and its modules are.
	if (required("dm-thin") || required("lvm-thin")) && !dm.Loaded() {
		if out, err := exec.Command("modprobe", "dm_thin_pool").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "modprobe dm_thin_pool: %v: %s", err, out)
		}
	}
	os.Exit(m.Run())
}

// livePool does all that a pool does, until it is killed. It writes down what it
// records on standard output.
func livePool(backend, dir, name string) error {
	b, _ := Find(backend)
	o := Options{Size: 64 << 20, Name: name, Record: func(r Resource) error {
		_, err := fmt.Println(r.Kind, r.Name)
		return err
	}}
	ctx := context.Background()
	for {
		p, err := b.Open(ctx, dir, o)
		if err != nil {
			return err
		}
		if err := p.Import(ctx, twoLayers()); err != nil {
			return err
		}
		for _, id := range []string{"a", "b"} {
			if _, err := p.Clone(ctx, id); err != nil {
				return err
			}
		}
		if _, err := p.Diff(ctx, "a"); err != nil {
			return err
		}
		if err := p.Remove(ctx, "a"); err != nil {
			return err
		}
		if err := p.Close(); err != nil {
			return err
		}
	}
}

// TestThinKilled kills a process at random moments, every second time with the
// tools that it has started.
func TestThinKilled(t *testing.T) {
	// As many, of the time that opening and closing takes in an emulated machine.
	times := map[string]int{"dm-thin": 20, "lvm-thin": 10}
	if testing.Short() {
		times = map[string]int{"dm-thin": 3, "lvm-thin": 1}
	}
	longest := map[string]time.Duration{"dm-thin": 4 * time.Second, "lvm-thin": 15 * time.Second}
	eachThin(t, func(t *testing.T, b Backend, dir, name string) {
		backend := b.Info().Name
		for i := range times[backend] {
			after := rand.N(longest[backend])
			killPool(t, b, dir, name, after, i%2 == 1)
			left := len(leftovers(t, dir, name))
			if err := clean(t.Context(), dir, thinResources(name)); err != nil {
				t.Fatalf("killed after %v: %v", after, err)
			}
			// A loop device goes when the last on it has.
			for end := time.Now().Add(2 * time.Second); len(leftovers(t, dir, name)) > 0 && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			if still := append(leftovers(t, dir, name), groups(t, b, name)...); len(still) > 0 {
				t.Fatalf("killed after %v, then cleaned: left %q", after, still)
			}
			t.Logf("killed after %v: %d things left, then none", after, left)
		}
	})
}

// killPool has a process live with a pool and kills it after a while, with the
// tools that it has started or without. It gives what that recorded.
func killPool(t *testing.T, b Backend, dir, name string, after time.Duration, tools bool) (recorded []Resource) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+b.Info().Name+":"+dir+":"+name)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	whom := cmd.Process.Pid
	if tools {
		whom = -whom
	}
	if err := unix.Kill(whom, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() {
		t.Fatalf("it ended by itself: %v: %s", err, stderr.String())
	}
	for line := range strings.Lines(stdout.String()) {
		var r Resource
		if _, err := fmt.Sscan(line, &r.Kind, &r.Name); err != nil {
			t.Fatalf("recorded %q: %v", line, err)
		}
		recorded = append(recorded, r)
	}
	return recorded
}

// clean is what is done after a kill.
func clean(ctx context.Context, dir string, recorded []Resource) error {
	if err := Undo(ctx, recorded); err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(dir+"/"+e.Name()))
	}
	return err
}
