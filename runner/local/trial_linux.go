package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
	"plimsoll/runner"
	"plimsoll/runner/runtimes"
)

// Run carries out one trial. What goes wrong with it is in the outcome.
func (e *Executor) Run(ctx context.Context, t runner.Trial) (runner.Outcome, error) {
	e.trials++
	tr := &trial{executor: e, key: t.Key.WithDefaults(), serial: e.trials, pad: rand.New(rand.NewPCG(uint64(t.ID), 0)).IntN(4096)}
	before, noiseErr := hostcheck.ReadNoise("/")
	err := tr.run(ctx)
	out := runner.Outcome{Samples: tr.samples, Warnings: tr.warnings, Host: map[string]float64{}}
	if after, afterErr := hostcheck.ReadNoise("/"); noiseErr == nil && afterErr == nil {
		out.Host = after.Since(before)
	}
	if tr.throttled > 0 {
		out.Host["throttled"] = tr.throttled
	}
	maps.Copy(out.Host, tr.stalled)
	if err != nil {
		out.Failure = &runner.Failure{Op: operationOf(err), Error: err.Error()}
	}
	return out, nil
}

// operationOf names what failed, for grouping failures.
func operationOf(err error) string {
	var op *launch.OpError
	if errors.As(err, &op) {
		return op.Op.Phase
	}
	var st *stageError
	if errors.As(err, &st) {
		return st.stage
	}
	return "trial"
}

// stageError is a failure of a part of a trial.
type stageError struct {
	stage string
	err   error
}

func (s *stageError) Error() string { return s.stage + ": " + s.err.Error() }
func (s *stageError) Unwrap() error { return s.err }

func stage(name string, err error) error {
	if err == nil {
		return nil
	}
	return &stageError{name, err}
}

// trial is one execution of a cell.
type trial struct {
	executor *Executor
	key      runner.Key
	serial   int // of this executor's trials
	pad      int

	dir       *workDir
	runtime   *usable
	limits    cgroup.Limits
	base      string // directory of this trial
	instances []*instance
	samples   []runner.Sample
	warnings  []runner.Warning
	throttled float64            // seconds, by the CPU quota
	stalled   map[string]float64 // fractions of its time in which the worst instance waited (PSI)
	stderr    *os.File           // of all instances: a descriptor for each would bound the fleet
	files     []*os.File         // to be closed
}

// instance is one member of the trial's fleet.
type instance struct {
	id     string
	clone  *clone
	c      runtimes.Container
	stdout *os.File
}

func (t *trial) run(ctx context.Context) (err error) {
	e := t.executor
	i := slices.IndexFunc(e.dirs, func(d *workDir) bool { return d.level == t.key.Dir })
	if i < 0 {
		return fmt.Errorf("dir %q: not a work directory of this run", t.key.Dir)
	}
	t.dir = e.dirs[i]
	if t.runtime = e.runtimes[t.key.Runtime]; t.runtime == nil {
		return fmt.Errorf("runtime %q: not in this run's profile", t.key.Runtime)
	}
	if t.key.Limits != "none" {
		if t.limits, err = e.limits(e.profile.Limits[t.key.Limits], t.dir); err != nil {
			return stage("limits", err)
		}
	}
	if t.key.Cache == "cold" {
		if err := evict(t.dir.image); err != nil {
			return stage("cache", err)
		}
	}
	if err := e.pools.makeRoom(t.dir); err != nil {
		return stage("work directory", err)
	}
	t.base = filepath.Join(t.dir.base, "trial-"+strconv.Itoa(t.serial))
	if err := os.Mkdir(t.base, 0o755); err != nil {
		return stage("work directory", err)
	}
	// What the trial measured stands also when taking it away fails, and the
	// failure of the trial itself comes first.
	defer func() { err = errors.Join(err, stage("remove", t.remove(ctx))) }()
	if t.key.OnStorage() {
		return stage(t.key.Workload, t.dir.explain(t.onStorage(ctx)))
	}
	switch t.key.Workload {
	case "startup":
		return t.startup(ctx)
	case "lifecycle":
		return t.lifecycle(ctx)
	}
	return t.work(ctx)
}

// make prepares the fleet's instances: the clone of each one's root, its
// files, its cgroup and, if it joins one, its network. These are metrics of
// their own, outside the start.
func (t *trial) make(ctx context.Context, i runtimes.Instance, stdout func() (*os.File, error)) error {
	timed := t.timesLifecycle()
	var err error
	if t.stderr, err = t.memfd("stderr"); err != nil {
		return err
	}
	for n := range t.key.Fleet {
		in := &instance{id: fmt.Sprintf("t%d-%d", t.serial, n)}
		t.instances = append(t.instances, in)
		if isBackend(t.key.Storage) { // making the pool is no part of making a clone
			if _, err := t.executor.pools.containers(ctx, t.dir, t.key.Storage); err != nil {
				return stage("storage", err)
			}
		}
		begin := launch.Now()
		if in.clone, err = t.clone(ctx, in.id, filepath.Join(t.base, strconv.Itoa(n))); err != nil {
			return stage("provision", err)
		}
		if timed {
			t.sample(n, "provision", seconds(launch.Now()-begin))
		}
		if in.stdout, err = stdout(); err != nil {
			return err
		}
		one := i
		if i.Path == probePath {
			one.Args = append(slices.Clip(i.Args), strconv.Itoa(n)) // comes back in its record
		}
		one.ID, one.Dir = in.id, in.clone.dir
		one.Root, one.Image, one.Data, one.Work = in.clone.root, t.dir.image.Dir, in.clone.data, in.clone.data
		one.Stdout, one.Stderr = in.stdout, t.stderr
		one.Limits, one.Network = t.limits, t.key.Network
		one.Rung = t.key.Param("rung")
		if one.Rung == "" {
			one.Rung = "full"
		}
		// The size of the environment shifts the stack and with it a program's
		// speed (Mytkowicz et al., "Producing Wrong Data Without Doing Anything
		// Obviously Wrong!", ASPLOS 2009): it varies from trial to trial.
		one.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "PLIMSOLL_PAD=" + strings.Repeat("x", t.pad)}
		if in.c, err = t.runtime.runtime.Create(background(), one); err != nil {
			return stage("create", err)
		}
		if created := in.c.Timing().Created; timed && t.limits.Any() && created > 0 {
			t.sample(n, "cgroup_create", created.Seconds())
		}
		if joined := in.c.Timing().Joined; timed && joined > 0 {
			t.sample(n, "network_create", joined.Seconds())
		}
	}
	return nil
}

// timesLifecycle reports whether the trial is about making and removing: of a
// workload's container that would be one figure more, and no news.
func (t *trial) timesLifecycle() bool {
	return t.runtime.info.Container && t.key.Workload == "startup" && t.key.Storage != "host"
}

// remove takes all instances away.
func (t *trial) remove(ctx context.Context) error {
	var errs []error
	for n, in := range t.instances {
		if in.c != nil {
			begin := launch.Now()
			if err := in.c.Remove(ctx); err != nil {
				errs = append(errs, err)
			} else if t.timesLifecycle() {
				t.sample(n, "remove", seconds(launch.Now()-begin))
			}
		}
		if in.clone != nil {
			errs = append(errs, in.clone.remove())
		}
	}
	for _, f := range t.files {
		f.Close()
	}
	return errors.Join(append(errs, t.executor.reapOrphans(), os.RemoveAll(t.base))...)
}

// reapOrphans waits for the processes that a runtime has left on their own:
// bwrap's init when bwrap was killed, for one. They have become our children.
func (e *Executor) reapOrphans() error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		strays, err := e.engine.Strays()
		if err != nil {
			return fmt.Errorf("reap orphans: %w", err)
		}
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && err != unix.EINTR {
				break
			}
		}
		if len(strays) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v, which a runtime left behind, do not end", strays)
		}
	}
}

// sample keeps a time in seconds.
func (t *trial) sample(instance int, metric string, value float64) {
	t.samples = append(t.samples, runner.Sample{Instance: instance, Metric: metric, Unit: "s", Better: runner.Lower, Value: value})
}

// failure explains an instance that ended as it should not have, by what it
// wrote and what its cgroup knows.
func (t *trial) failure(in *instance, exit launch.Exit) error {
	text := []string{exit.String()}
	if usage, err := in.c.Usage(); err == nil {
		if usage.Memory.OOMKills.Value > 0 {
			text = append(text, fmt.Sprintf("killed for its memory limit of %d bytes: raise it, or make the workload smaller", t.limits.Memory))
		}
		if usage.PIDs.Refused.Value > 0 {
			text = append(text, fmt.Sprintf("refused a fork by its limit of %d pids: raise it", t.limits.PIDs))
		}
	}
	if said := contents(t.stderr); said != "" {
		text = append(text, said)
	}
	return stage(t.key.Workload, errors.New(strings.Join(text, ": ")))
}

// contents is what was written to a file in memory, up to a few lines.
func contents(f *os.File) string {
	text := make([]byte, 2048)
	n, _ := f.ReadAt(text, 0)
	return strings.TrimSpace(string(text[:n]))
}

// memfd makes a file in memory that lives as long as the trial.
func (t *trial) memfd(name string) (*os.File, error) {
	f, err := memfd(name)
	if err == nil {
		t.files = append(t.files, f)
	}
	return f, err
}

func memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	// Many instances share it. The kernel keeps the writes of a file apart that
	// share an offset, but not those of a memfd, which is not opened: two
	// records could come to stand in one place.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("memfd_create: append: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

// background is for what has to be finished whatever else ends.
func background() context.Context { return context.Background() }
