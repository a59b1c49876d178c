package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"

	"plimsoll/runner"
)

// killed is what is measured while it is killed: some of everything that a run
// makes, for about a second.
const killed = `
rounds: 3
gap: 5ms
factors:
  workload: [startup, io]
  runtime: [%s]
  storage: [bind, overlay]
  limits: [none, small]
limits:
  small: {cpu: 0.5, memory: 64MiB, pids: 64}
workloads:
  startup: {params: {hold: [2ms]}}
  io: {params: {part: [fsync], size: [64KiB], duration: [2ms]}}
`

// killedOnStorage is the same for storages: everything that a pool makes.
const killedOnStorage = `
rounds: 1
gap: 1ms
factors:
  workload: [import, provision, large_change, startup]
  runtime: [bare, isolate]
  storage: [overlay, overlay-tmpfs, fuse-overlayfs, btrfs, zfs, xfs-reflink, loop-ext4, loop-xfs, vfs]
pools: {size: 640MiB}
workloads:
  import: {params: {layers: [2], files: [30], size: [1MiB]}}
  provision: {params: {layers: [2], files: [30], size: [1MiB], clones: [3]}}
  large_change: {params: {file: [8MiB]}}
`

// rig is a work directory, a profile, and a way to start bench on them.
type rig struct {
	t    *testing.T
	dir  string // everything is in here
	work string // where runs make their directories
	took time.Duration
}

// newRig makes a rig for a profile, and measures how long the whole run takes.
func newRig(t *testing.T, profile string) *rig {
	r := rigFor(t, profile)
	began := time.Now()
	r.finishes("run", r.path("killed.yaml"), "--out", r.path("whole"), "--dir", r.work)
	r.took = time.Since(began)
	r.complete("whole")
	return r
}

func rigFor(t *testing.T, profile string) *rig {
	need(t, "root")
	r := &rig{t: t, dir: t.TempDir()}
	r.work = filepath.Join(r.dir, "work")
	if err := os.Mkdir(r.work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("killed.yaml"), []byte(profile), 0o644); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// bench prepares a call of the program.
func (r *rig) bench(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(filepath.Join(built, "bench"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = environ()
	return cmd, &out
}

// finishes runs bench, which must succeed but for noise.
func (r *rig) finishes(args ...string) string {
	r.t.Helper()
	cmd, out := r.bench(args...)
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != statusUntrusted {
		r.t.Fatalf("bench %s: %s\n%s", args, err, out)
	}
	return out.String()
}

// interrupt starts a run and sends it a signal at a random moment, and one that
// can be taken once more. It gives how the run ended, and what it said.
func (r *rig) interrupt(out string, s syscall.Signal) (*os.ProcessState, string) {
	r.t.Helper()
	cmd, said := r.bench("run", r.path("killed.yaml"), "--out", out, "--dir", r.work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	after := rand.N(r.took * 11 / 10)
	time.Sleep(after)
	to := cmd.Process.Pid
	if s == syscall.SIGINT {
		to = -to // a terminal's Ctrl-C goes to the whole group
	}
	if err := syscall.Kill(to, s); err != nil { // it is a zombie at the least until Wait
		r.t.Fatal(err)
	}
	if s != syscall.SIGKILL {
		time.Sleep(rand.N(10 * time.Millisecond))
		syscall.Kill(to, s) // an impatient user's second; it may well be too late
	}
	if err := cmd.Wait(); cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	r.t.Logf("%s after %s of %s: %s", s, after.Round(time.Millisecond), r.took.Round(time.Millisecond), cmd.ProcessState)
	return cmd.ProcessState, said.String()
}

// complete checks that every trial of a run is in its journal, once.
func (r *rig) complete(name string) {
	r.t.Helper()
	j, err := runner.ReadJournal(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	seen := map[int]int{}
	for _, trial := range j.Trials {
		seen[trial.Trial]++
	}
	for id := range j.Header.Trials {
		if seen[id] != 1 {
			r.t.Errorf("trial %d is in the journal %d times", id, seen[id])
		}
	}
	if j.Footer == nil || j.Footer.Status != "complete" || j.Footer.Failures > 0 {
		r.t.Errorf("footer %+v, failures %+v", j.Footer, j.Failures)
	}
}

// goOn completes a run that was cut short: by --resume where there is a
// journal, else from the start, into the same directory.
func (r *rig) goOn(name string) {
	r.t.Helper()
	if _, err := os.Stat(filepath.Join(r.path(name), runner.JournalName)); err != nil {
		r.finishes("run", r.path("killed.yaml"), "--out", r.path(name), "--dir", r.work)
	} else {
		r.finishes("report", r.path(name))
		r.finishes("run", "--resume", r.path(name))
	}
	r.complete(name)
}

// ledgers are the names of the runs that have a ledger.
func ledgers() map[string]bool {
	found := map[string]bool{}
	paths, _ := filepath.Glob("/var/lib/plimsoll/*.jsonl")
	for _, path := range paths {
		found[strings.TrimSuffix(filepath.Base(path), ".jsonl")] = true
	}
	return found
}

// nothingLeft checks that a run left nothing on the host. Runs are those that
// may be meant; the ones of other people at the same time are still live.
func (r *rig) nothingLeft(runs map[string]bool) {
	r.t.Helper()
	entries, err := os.ReadDir(r.work)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		r.t.Errorf("directory %s is left", filepath.Join(r.work, e.Name()))
		runs[strings.TrimPrefix(e.Name(), "plimsoll-")] = true
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(r.dir))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range mounts {
		r.t.Errorf("mount %s is left", m.Mountpoint)
	}
	for _, device := range r.loopDevices() {
		r.t.Errorf("loop device %s is left", device)
	}
	for _, process := range r.processes() {
		r.t.Errorf("process %s is left", process)
	}
	still := ledgers()
	for run := range runs {
		if still[run] {
			r.t.Errorf("the ledger of run %s is left", run)
		}
		if groups := cgroupsOf(run); len(groups) > 0 {
			r.t.Errorf("cgroups %s are left", groups)
		}
	}
}

// cgroupsOf finds the cgroups of a run in every hierarchy.
func cgroupsOf(run string) []string {
	var found []string
	mounts, _ := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	for _, m := range mounts {
		filepath.WalkDir(m.Mountpoint, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.Contains(d.Name(), run) {
				found = append(found, path)
			}
			return nil // a cgroup of others may go while we look
		})
	}
	return found
}

// loopDevices finds those on files of ours. The kernel clears one a moment
// after its last user.
func (r *rig) loopDevices() (found []string) {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		found = nil
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, file := range files {
			if on, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(on), r.dir) {
				found = append(found, file+": "+strings.TrimSpace(string(on)))
			}
		}
		if len(found) == 0 || time.Now().After(end) {
			return found
		}
	}
}

// processes finds those that run a file of ours, stand in a directory of ours,
// or were told of one: and with them the namespaces that they hold.
func (r *rig) processes() []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		about := string(bytes.ReplaceAll(command, []byte{0}, []byte{' '}))
		for _, link := range []string{"exe", "cwd", "root"} {
			target, _ := os.Readlink(filepath.Join(dir, link))
			about += " " + target
		}
		if strings.Contains(about, r.work) {
			found = append(found, filepath.Base(dir)+": "+about)
		}
	}
	return found
}

// times is how often a run is cut short.
func times() int {
	if os.Getenv("PLIMSOLL_MEASURE") == "1" {
		return 50
	}
	return 3
}

// TestKill kills runs at random moments: bench clean must remove all that they
// left, and every run must be resumed to its end.
func TestKill(t *testing.T) { testKill(t, killedProfile()) }

// TestKillOnStorage kills runs while they build, use and take away pools.
func TestKillOnStorage(t *testing.T) { testKill(t, killedOnStorage) }

func killedProfile() string {
	runtimes := "bare, isolate"
	if missing("runc") == nil {
		runtimes += ", runc"
	}
	return fmt.Sprintf(killed, runtimes)
}

func testKill(t *testing.T, profile string) {
	r := newRig(t, profile)
	for i := range times() {
		name := fmt.Sprintf("killed-%d", i)
		before := ledgers()
		r.interrupt(r.path(name), syscall.SIGKILL)
		runs := ledgers()
		for run := range before {
			delete(runs, run)
		}
		t.Logf("%s", strings.TrimSpace(r.finishes("clean")))
		for run := range runs {
			if live(run) {
				delete(runs, run) // of another program
			}
		}
		r.nothingLeft(runs)
		r.goOn(name)
		r.nothingLeft(map[string]bool{})
		if t.Failed() {
			return
		}
	}
}

// live reports whether a run holds the lock on its ledger.
func live(run string) bool {
	f, err := os.Open("/var/lib/plimsoll/" + run + ".jsonl")
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// TestInterrupt is TestKill for Ctrl-C, SIGTERM and SIGHUP: nothing is left
// without bench clean, and the program says how to go on.
func TestInterrupt(t *testing.T) { testInterrupt(t, killedProfile()) }

// TestInterruptOnStorage is the same while pools are built and used.
func TestInterruptOnStorage(t *testing.T) { testInterrupt(t, killedOnStorage) }

func testInterrupt(t *testing.T, profile string) {
	r := newRig(t, profile)
	for i := range times() {
		name := fmt.Sprintf("stopped-%d", i)
		state, said := r.interrupt(r.path(name), []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[i%3])
		journal, err := runner.ReadJournal(r.path(name))
		runs := map[string]bool{}
		if err == nil {
			runs[journal.Header.Run] = true
		}
		r.nothingLeft(runs)
		switch code := state.ExitCode(); {
		case !state.Exited(): // before the program could take the signal
		case err == nil && journal.Footer != nil && journal.Footer.Status == "complete":
			if code != 0 && code != statusUntrusted {
				t.Errorf("a complete run exits %d: %s", code, said)
			}
		case code != statusUnable || !strings.Contains(said, "stopped by a signal"):
			t.Errorf("exits %d: %s", code, said)
		case err == nil && !strings.Contains(said, "to go on: bench run --resume "+r.path(name)):
			t.Errorf("does not say how to go on: %s", said)
		}
		r.goOn(name)
		if t.Failed() {
			return
		}
	}
}
