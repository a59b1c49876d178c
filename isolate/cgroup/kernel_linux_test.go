package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
)

// These tests ask the running kernel, whatever its layout: on v1, hybrid and v2 hosts they are the same.

// need skips a test that this machine cannot run, or fails it where
// PLIMSOLL_REQUIRE says that it must.
func need(t *testing.T, capability string, have bool) {
	t.Helper()
	if have {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("needs %s, which PLIMSOLL_REQUIRE says is here", capability)
	}
	t.Skipf("needs %s", capability)
}

// onEachLayout runs a test on this host as it is and, where it is a hybrid, once more as if it had v1 only.
func onEachLayout(t *testing.T, test func(t *testing.T, h *Host)) {
	h, err := Detect("/")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Marker()
	need(t, "cgroup", err == nil)
	t.Run("host", func(t *testing.T) { test(t, h) })
	if _, err := h.Lookup(Freezer); err == nil && h.unified() != nil {
		v1 := *h
		v1.Hierarchies = h.Hierarchies[1:]
		t.Run("v1 part", func(t *testing.T) { test(t, &v1) })
	}
}

// newRun makes a run that takes itself away and then checks that nothing is left of it.
func newRun(t *testing.T, h *Host) *Run {
	t.Helper()
	name := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano())
	r, err := h.NewRun(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(r.Kill(ctx), r.Remove(ctx)); err != nil {
			t.Error(err)
		}
		for _, path := range h.RunPaths(name) {
			if exists(path) {
				t.Errorf("%s is left", path)
			}
		}
	})
	return r
}

func create(t *testing.T, r *Run, l Limits, account ...Controller) *Group {
	t.Helper()
	g, err := r.Create("c1", l, account...)
	if missing, ok := errors.AsType[*MissingError](err); ok {
		need(t, string(missing.Controller), false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// start runs the test binary as a helper, which waits until it is in the group.
func start(t *testing.T, g *Group, work string, args ...string) *exec.Cmd {
	t.Helper()
	return startTo(t, g, nil, work, args...)
}

func startTo(t *testing.T, g *Group, stdout *os.File, work string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperVariable+"="+work)
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if err := g.AddPID(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "go\n"); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func usage(t *testing.T, g *Group) Usage {
	t.Helper()
	u, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for what the kernel or a helper does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if err := poll(soon(t), func() (bool, error) { return ok(), nil }); err != nil {
		t.Fatalf("%s: did not happen", what)
	}
}

func TestCPUQuotaThrottles(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{CPU: 0.1, CPUPeriod: 20_000, CPUWeight: 50}, CPU)
		begin := time.Now()
		start(t, g, "spin")
		eventually(t, "throttling", func() bool {
			u := usage(t, g).CPU
			return u.Throttled.Value >= 5 && u.ThrottledTime.Value > 0
		})
		u := usage(t, g).CPU
		if elapsed := time.Since(begin).Seconds(); !u.Total.Known || u.Total.Value == 0 || u.Total.Value > 0.1*elapsed+0.1 {
			t.Errorf("%v s of CPU in %v s, with a tenth of one", u.Total, elapsed)
		}
		if h.unified() != nil {
			stalled := usage(t, g).Stalls
			need(t, "psi", stalled.CPU.Known)
			if stalled.CPU.Value == 0 || !stalled.Memory.Known || !stalled.IO.Known {
				t.Errorf("with a tenth of a CPU a busy process waited %+v", stalled)
			}
		}
		if u.Periods.Value < u.Throttled.Value || !u.User.Known || !u.System.Known {
			t.Errorf("usage %+v", u)
		}
	})
}

func TestMemoryLimitKills(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		const limit = 48 << 20
		g := create(t, newRun(t, h), Limits{Memory: limit})
		cmd := start(t, g, "allocate", strconv.Itoa(512<<20)) // far more than any swap would take in time
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Errorf("ended with %v, want SIGKILL", err)
		}
		m := usage(t, g).Memory
		if m.OOMKills.Value < 1 || m.AtLimit.Value < 1 || !m.Current.Known {
			t.Errorf("usage %+v", m)
		}
		const slack = 4 << 20 // the kernel lets the killed process exceed the limit to die
		if m.Peak.Known && (m.Peak.Value < limit/2 || m.Peak.Value > limit+slack) {
			t.Errorf("peak %v with a limit of %d", m.Peak.Value, limit)
		}
	})
}

func TestPIDsLimitRefuses(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		const limit = 20
		g := create(t, newRun(t, h), Limits{PIDs: limit})
		start(t, g, "breed")
		eventually(t, "a refused fork", func() bool { return usage(t, g).PIDs.Refused.Value > 0 })
		if p := usage(t, g).PIDs; !p.Current.Known || p.Peak.Known && p.Peak.Value > limit {
			t.Errorf("usage %+v", p)
		}
		if err := g.Kill(soon(t)); err != nil { // although they still breed
			t.Error(err)
		}
	})
}

func TestCPUSetBinds(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{CPUSet: "0"})
		cmd := start(t, g, "wait")
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil || !strings.Contains(string(status), "Cpus_allowed_list:\t0\n") {
			t.Errorf("not bound to CPU 0: %v\n%s", err, status)
		}
	})
}

func TestCPUSetOfNoCPUIsExplained(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		r := newRun(t, h)
		g, err := r.Create("c1", Limits{CPUSet: "8000"})
		if _, missing := errors.AsType[*MissingError](err); missing {
			need(t, "cpuset", false)
		}
		if err == nil || !strings.Contains(err.Error(), "CPU or node") {
			t.Errorf("made %v, %v", g, err)
		}
		if slices.ContainsFunc(h.RunPaths(r.name), func(run string) bool { return exists(run + "/c1") }) {
			t.Error("a part of the group is left")
		}
	})
}

func TestIOThrottles(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		dir := t.TempDir()
		disk, ok := wholeDisk(dir)
		need(t, "disk", ok)
		const size = 4 << 20
		g := create(t, newRun(t, h), Limits{IO: []IOLimit{{Device: disk, WriteBPS: 8 << 20}}})
		begin := time.Now()
		if err := start(t, g, "write", filepath.Join(dir, "file"), strconv.Itoa(size)).Wait(); err != nil {
			t.Fatal(err)
		}
		if elapsed := time.Since(begin); elapsed < 300*time.Millisecond {
			t.Errorf("4 MiB at 8 MiB/s took %v", elapsed)
		}
		u := usage(t, g).IO
		if u.WriteBytes.Value < size || u.WriteOps.Value < 1 || !u.ReadBytes.Known {
			t.Errorf("usage %+v", u)
		}
	})
}

// wholeDisk finds the disk under a directory: throttling wants its number, not a partition's.
func wholeDisk(dir string) (string, bool) {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || unix.Major(st.Dev) == 0 { // 0: no block device
		return "", false
	}
	node := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	if exists(node + "/partition") {
		node += "/.."
	}
	real, err := filepath.EvalSymlinks(node)
	b, err2 := os.ReadFile(real + "/dev")
	return trim(b), err == nil && err2 == nil
}

func TestFreeze(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{}, CPU)
		start(t, g, "spin")
		for range 2 {
			if err := g.Freeze(soon(t)); err != nil {
				t.Fatal(err)
			}
			before := usage(t, g).CPU.Total.Value
			time.Sleep(30 * time.Millisecond)
			if after := usage(t, g).CPU.Total.Value; after > before+0.002 {
				t.Errorf("ran for %v s while frozen", after-before)
			}
			if err := g.Thaw(soon(t)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "running again", func() bool { return usage(t, g).CPU.Total.Value > before+0.005 })
		}
		if err := g.Freeze(soon(t)); err != nil {
			t.Fatal(err)
		}
		if err := g.Kill(soon(t)); err != nil { // a frozen group dies too
			t.Error(err)
		}
	})
}

// TestFreezeOnDemand: where the marker cannot freeze, the v1 freezer is made when it is asked for.
func TestFreezeOnDemand(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		at, err := h.Lookup(Freezer)
		need(t, "v1", err == nil)
		if h.unified() == nil {
			return // then the freezer is the marker
		}
		r := newRun(t, h)
		g := create(t, r, Limits{}, Memory, PIDs, CPUAcct)
		g.places = slices.DeleteFunc(g.places, func(p place) bool { return p.at == r.marker }) // as if it had neither freezer
		cmd := start(t, g, "wait")
		if err := g.Freeze(soon(t)); err != nil {
			t.Fatal(err)
		}
		if paths := g.Paths(); !slices.ContainsFunc(paths, func(path string) bool { return strings.HasPrefix(path, at.Mount) }) {
			t.Errorf("places: %v", paths)
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
		if !strings.Contains(string(status), "freezer:/"+Prefix) {
			t.Errorf("not in the freezer: %s", status)
		}
		if err := g.Kill(soon(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestKillReachesDescendants(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		r := newRun(t, h)
		g := create(t, r, Limits{})
		start(t, g, "wait")
		nested := g.Paths()[0] + "/made-inside/deeper"
		if err := os.MkdirAll(nested, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(nested+"/cgroup.procs", strconv.Itoa(start(t, g, "wait").Process.Pid)); err != nil {
			t.Fatal(err)
		}
		if h.unified() != nil { // a threaded group does not say which processes it has
			if err := errors.Join(os.Mkdir(nested+"/threads", 0o755), writeFile(nested+"/threads/cgroup.type", "threaded")); err != nil {
				t.Fatal(err)
			}
		}
		bare := start(t, r.Bare(), "wait")
		if pids, err := g.PIDs(); err != nil || len(pids) != 2 {
			t.Errorf("pids %v, %v: want 2", pids, err)
		}
		if err := g.Kill(soon(t)); err != nil {
			t.Fatal(err)
		}
		if pids, err := g.PIDs(); err != nil || len(pids) != 0 {
			t.Errorf("after the kill: %v, %v", pids, err)
		}
		if pids, err := r.Bare().PIDs(); err != nil || !slices.Equal(pids, []int{bare.Process.Pid}) {
			t.Errorf("another group was hit: %v, %v", pids, err)
		}
		if err := g.Remove(soon(t)); err != nil {
			t.Error(err)
		}
		if err := g.Remove(soon(t)); err != nil {
			t.Errorf("removing what is gone: %v", err)
		}
		if err := g.Kill(soon(t)); err != nil {
			t.Errorf("killing what is gone: %v", err)
		}
		if _, err := g.Usage(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("usage of what is gone: %v", err)
		}
	})
}

func TestRemoveOfTheLivingIsRefused(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{})
		pid := start(t, g, "wait").Process.Pid
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := g.Remove(ctx); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
			t.Errorf("got %v, want EBUSY naming %d", err, pid)
		}
	})
}

func TestRemoveIdle(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{PIDs: 10})
		start(t, g, "wait")
		if g.RemoveIdle() || slices.ContainsFunc(g.Paths(), func(dir string) bool { return !exists(dir) }) {
			t.Error("a group was removed with a process in it")
		}
		if err := g.Kill(soon(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the removal", g.RemoveIdle)
		if slices.ContainsFunc(g.Paths(), exists) {
			t.Error("a part of the group is left")
		}
	})
}

func TestCreateTwiceIsRefused(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		r := newRun(t, h)
		g := create(t, r, Limits{}, Memory, PIDs)
		if _, err := h.NewRun(r.name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second run of one name: %v", err)
		}
		if _, err := r.Create("c1", Limits{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v", err)
		}
		for _, path := range g.Paths() {
			if !exists(path) {
				t.Errorf("the first one lost %s", path)
			}
		}
		for _, name := range []string{"", bareName, "a/b", "..", "cgroup.procs", "a\n"} {
			if _, err := r.Create(name, Limits{}); err == nil {
				t.Errorf("made a group called %q", name)
			}
		}
	})
}

func TestJoin(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		g := create(t, newRun(t, h), Limits{PIDs: 100, Memory: 1 << 30})
		join := g.Join()
		cmd := exec.Command("/proc/self/exe", join.Files...)
		cmd.Env = append(os.Environ(), helperVariable+"=join")
		if join.Unified != "" {
			fd, err := os.OpenFile(join.Unified, unix.O_PATH, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer fd.Close()
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd())}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := strings.Count(string(out), "/"+Prefix+g.run.name+"/c1\n"); got != len(g.Paths()) {
			t.Errorf("in %d of %v:\n%s", got, g.Paths(), out)
		}
		if at, err := h.Lookup(Memory); err == nil && at.Version == 1 && !strings.HasPrefix(join.Files[len(join.Files)-1], at.Mount+"/") {
			t.Errorf("memory is not last: %v", join.Files)
		}
	})
}

func TestPressureOfGroup(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		if h.unified() == nil {
			return // PSI of groups is the unified hierarchy's
		}
		g := create(t, newRun(t, h), Limits{})
		p, err := g.Pressure(Memory)
		need(t, "psi", !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EOPNOTSUPP))
		if err != nil || !p.Some.Total.Known || !p.Full.Avg10.Known {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestClean: from the ledger's paths alone, all of a run goes, and nothing else.
func TestClean(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		r, other := newRun(t, h), newRun(t, h)
		g := create(t, r, Limits{}, Memory, PIDs, Freezer)
		frozen := start(t, g, "wait")
		if err := g.Freeze(soon(t)); err != nil {
			t.Fatal(err)
		}
		bare := start(t, r.Bare(), "wait")
		spared := start(t, other.Bare(), "wait")
		paths := slices.DeleteFunc(h.RunPaths(r.name), func(path string) bool {
			return r.aside && strings.HasSuffix(path, harnessSuffix) // in a delegated group we are in it
		})
		if err := Clean(soon(t), paths); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range []*exec.Cmd{frozen, bare} {
			cmd.Wait()
			if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("%v was not killed", cmd.ProcessState)
			}
		}
		for _, path := range paths {
			if exists(path) {
				t.Errorf("%s is left", path)
			}
		}
		if err := spared.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("another run's process: %v", err)
		}
		if err := Clean(soon(t), paths); err != nil {
			t.Errorf("cleaning twice: %v", err)
		}
	})
}

func TestCleanLeavesOthersAlone(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		marker, _ := h.Marker()
		fake := filepath.Join(t.TempDir(), Prefix+"fake") // ours by name, but a plain directory
		strange := filepath.Join(marker.Parent, "not-plimsoll-"+strconv.Itoa(os.Getpid()))
		for _, dir := range []string{fake, strange} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(dir)
		}
		run := newRun(t, h)
		for _, path := range []string{fake, strange, marker.Parent, marker.runDir(run.name) + "/bare", marker.runDir(run.name) + "/../" + filepath.Base(strange), ""} {
			if err := Clean(soon(t), []string{path}); err == nil {
				t.Errorf("cleaned %q", path)
			}
		}
		if !exists(fake) || !exists(strange) || !exists(marker.runDir(run.name)+"/bare") {
			t.Error("something of others is gone")
		}
	})
}
