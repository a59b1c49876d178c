package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/cgroup/scope"
	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/runner/workloads"
)

// The test binary stands for the program: containers get a copy of it as
// their workload program.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "workload" {
		dir, params := ".", map[string]string{}
		for i, arg := range os.Args[3:] {
			if name, value, ok := strings.Cut(arg, "="); ok {
				params[name] = value
			} else if arg == "--dir" {
				dir = os.Args[3+i+1]
			}
		}
		if err := workloads.Run(context.Background(), os.Args[2], params, dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// profile is the YAML of a small experiment, completed by the defaults.
func profile(t *testing.T, text string) profiles.Profile {
	t.Helper()
	p, err := profiles.Parse("test.yaml", []byte(text), profiles.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, p profiles.Profile) *Executor {
	t.Helper()
	for i, dir := range p.Factors.Dir {
		if dir == "" {
			p.Factors.Dir = slices.Clone(p.Factors.Dir)
			p.Factors.Dir[i] = workDirOf(t)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano())
	e, err := Open(t.Context(), Options{Run: run, Profile: p, Self: self})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
		filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.TrimSuffix(d.Name(), ".harness") == cgroup.Prefix+run {
				t.Errorf("%s is left", path)
			}
			return nil
		})
		for _, dir := range p.Factors.Dir {
			if left, _ := filepath.Glob(filepath.Join(dir, dirPrefix+"*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	})
	return e
}

// workDirOf is not below /tmp, which may be in memory: overlay on it would
// prove less.
func workDirOf(t *testing.T) string {
	t.Helper()
	base := defaultWorkDir
	if _, err := os.Stat(base); err != nil {
		base = "" // a virtual machine has its disk elsewhere
	}
	dir, err := os.MkdirTemp(base, "local-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// runAll runs one round of the profile.
func runAll(t *testing.T, e *Executor) map[runner.Key]runner.Outcome {
	t.Helper()
	plan, err := runner.NewPlan(e.profile, []runner.Host{e.Host(t.Context())}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Skips {
		t.Logf("skip %s: %s (%s)", s.Key, s.Reason, s.Fix)
	}
	out := map[runner.Key]runner.Outcome{}
	for _, trial := range plan.Trials {
		o, err := e.Run(t.Context(), trial)
		if err != nil {
			t.Fatal(err)
		}
		if o.Failure != nil {
			t.Errorf("%s: %s: %s", trial.Key, o.Failure.Op, o.Failure.Error)
		}
		out[trial.Key] = o
	}
	return out
}

func metrics(o runner.Outcome) []string {
	var names []string
	for _, s := range o.Samples {
		names = append(names, s.Metric)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestStartupOfEveryRuntime(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors:
  workload: [startup]
  runtime: [bare, isolate, runc, crun, bwrap]
  storage: [bind, overlay]
  limits: [none, small]
  fleet: [1, 3]
limits:
  small: {memory: 64MiB, pids: 50, cpu: 0.5}
workloads:
  startup: {repeats: 1}
`))
	for _, r := range e.Runtimes() {
		t.Logf("%+v", r)
		if r.Name != "bare" && r.Name != "isolate" {
			continue
		}
		need(t, "root", r.Usable)
	}
	for key, o := range runAll(t, e) {
		got := metrics(o)
		for _, want := range []string{"start_to_ready"} {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no %s in %v", key, want, got)
			}
		}
		for _, s := range o.Samples {
			if s.Metric == "start_to_ready" && (s.Value <= 0 || s.Value > 10) {
				t.Errorf("%s: %s of %v s", key, s.Metric, s.Value)
			}
		}
		if key.Fleet > 1 && !slices.Contains(got, "launch_rate") {
			t.Errorf("%s: no launch_rate in %v", key, got)
		}
		if key.Runtime == "isolate" && !slices.Contains(got, "phase/pivot_root") {
			t.Errorf("%s: no phases in %v", key, got)
		}
	}
}

func TestPhasesAddUp(t *testing.T) {
	e := open(t, profile(t, "rounds: 1\nfactors: {workload: [startup], runtime: [isolate], storage: [overlay]}\n"))
	need(t, "root", e.runtimes["isolate"].missing == nil)
	for key, o := range runAll(t, e) {
		var phases, exit float64
		for _, s := range o.Samples {
			if strings.HasPrefix(s.Metric, "phase/") {
				phases += s.Value
			}
			if s.Metric == "start_to_exit" {
				exit = s.Value
			}
		}
		if diff := phases - exit; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("%s: the phases take %v s together, the start to exit %v s", key, phases, exit)
		}
	}
}

func TestWorkloadsInside(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors:
  workload: [cpu, memory, io]
  runtime: [bare, isolate, runc]
  storage: [bind, overlay]
workloads:
  cpu: {repeats: 1, params: {n: 50, duration: 2ms}}
  memory: {repeats: 1, params: {size: 1MiB, duration: 2ms}}
  io: {repeats: 1, params: {size: 1MiB, duration: 2ms}}
`))
	need(t, "root", e.runtimes["isolate"].missing == nil)
	want := map[string][]string{
		"cpu":    {"context_switch", "flops", "integer", "syscall"},
		"memory": {"add", "copy", "latency", "page_fault", "random_access", "scale", "triad"},
		"io":     {"fsync", "metadata", "rand_read", "rand_write", "seq_read", "seq_write"},
	}
	for key, o := range runAll(t, e) {
		got := metrics(o)
		for _, m := range want[key.Workload] {
			if !slices.Contains(got, m) {
				t.Errorf("%s: no %s in %v", key, m, got)
			}
		}
	}
}

func TestLimitThatKillsIsExplained(t *testing.T) {
	tiny := "{memory: 20MiB}"
	if swaps, _ := os.ReadFile("/proc/swaps"); bytes.Count(swaps, []byte("\n")) > 1 {
		tiny = "{memory: 20MiB, swap: none}" // else it would swap for minutes, and live
	}
	e := open(t, profile(t, `
rounds: 1
factors: {workload: [memory], runtime: [isolate], storage: [bind], limits: [tiny]}
limits: {tiny: `+tiny+`}
workloads: {memory: {repeats: 1, params: {size: 64MiB, duration: 1ms, part: stream}}}
`))
	need(t, "root", e.runtimes["isolate"].missing == nil)
	limitable := e.canLimit(e.profile.Limits["tiny"])
	if limitable != nil {
		t.Log(limitable)
	}
	need(t, "memory", limitable == nil)
	o, err := e.Run(t.Context(), runner.Trial{Key: runner.Key{Workload: "memory", Runtime: "isolate", Storage: "bind",
		Dir: e.dirs[0].level, Limits: "tiny", Network: "none", Params: "duration=1ms,part=stream,size=64MiB"}})
	if err != nil {
		t.Fatal(err)
	}
	if o.Failure == nil || !strings.Contains(o.Failure.Error, "memory limit of 20971520 bytes") {
		t.Errorf("got %+v", o.Failure)
	}
}

func TestMissingRuntimeIsExplained(t *testing.T) {
	e := open(t, profile(t, "factors: {workload: [startup], runtime: ['none=oci:/nonexistent/runtime', 'false=oci:/bin/false'], storage: [bind]}\n"))
	want := map[string]string{"none": "not found", "false": "/bin/false --version: exit status 1"}
	if os.Getuid() != 0 {
		want["false"] = "is driven as root here"
	}
	for name, want := range want {
		if u := e.runtimes[name]; u.missing == nil || !strings.Contains(u.missing.Reason, want) {
			t.Errorf("%s: %v, want %q", name, u.missing, want)
		}
	}
}

func TestStoppedTrialLeavesNothing(t *testing.T) {
	e := open(t, profile(t, "factors: {workload: [startup], runtime: [isolate], storage: [overlay]}\n"))
	need(t, "root", e.runtimes["isolate"].missing == nil)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	o, err := e.Run(ctx, runner.Trial{Key: runner.Key{Workload: "startup", Runtime: "isolate", Storage: "overlay",
		Dir: e.dirs[0].level, Fleet: 5, Network: "none", Params: "hold=1h0m0s"}})
	if err != nil || o.Failure == nil {
		t.Fatal(o, err)
	}
	if left, _ := filepath.Glob(e.dirs[0].base + "/trial-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCleanUndoesAbandonedRun lets go of a run's lock as a kill does, with a
// mount and a process in place.
func TestCleanUndoesAbandonedRun(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	e := open(t, profile(t, "factors: {workload: [startup], runtime: [bare], storage: [overlay]}\n"))
	need(t, "root", e.run != nil && os.Getuid() == 0)
	c, err := makeClone("overlay", filepath.Join(e.dirs[0].base, "abandoned"), e.dirs[0].image, false)
	if err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	if err := e.run.Bare().AddPID(sleeper.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if done, err := Clean(t.Context()); err != nil || !slices.ContainsFunc(done.Live, func(run string) bool { return strings.HasSuffix(e.ledger.file.Name(), run+".jsonl") }) {
		t.Fatalf("a run that lives was not left alone: %+v, %v", done, err)
	}
	name := e.ledger.file.Name()
	if _, err := os.Stat(filepath.Dir(e.run.Bare().Paths()[0]) + ".harness"); err == nil {
		// A killed run is no longer in its leaf either.
		if err := scope.Enter(t.Context(), fmt.Sprintf("%stest-%d-%d", cgroup.Prefix, os.Getpid(), time.Now().UnixNano()), "the test itself"); err != nil {
			t.Fatal(err)
		}
	}
	e.ledger.file.Close()
	done, err := Clean(t.Context())
	if err != nil || len(done.Undone) == 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if err := sleeper.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the run's process: %v, want it killed", err)
	}
	for _, path := range []string{c.dir, e.dirs[0].base, name} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left", path)
		}
	}
	e.ledger = nil
}
