package local

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
	"plimsoll/runner"
	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
)

// stopGrace is how long an instance has to end when it is asked to: the probe
// does at once.
const stopGrace = 5 * time.Second

// startup times the start of the probe: one that exits by itself, or a fleet
// that waits to be stopped.
func (t *trial) startup(ctx context.Context) error {
	hold, err := time.ParseDuration(t.key.Param("hold"))
	if err != nil {
		return fmt.Errorf("parameter hold: %w", err)
	}
	out, err := t.memfd("probe")
	if err != nil {
		return err
	}
	i := runtimes.Instance{Path: probePath, Args: []string{probe.ModeExit}}
	stays := t.key.Fleet > 1 || hold > 0
	if stays {
		i.Args[0], i.Hold = probe.ModeWait, true
	}
	// All instances share one file, and so its offset: their records stand one
	// after another.
	share := func() (*os.File, error) { return out, nil }
	if err := t.make(ctx, i, share); err != nil {
		return err
	}
	if stays {
		return t.fleet(ctx, out, hold)
	}
	in := t.instances[0]
	if err := in.c.Start(ctx); err != nil {
		return stage("start", err)
	}
	exit, err := in.c.Wait(ctx)
	if err != nil {
		return stage("wait", err)
	}
	if !exit.OK() {
		return t.failure(in, exit)
	}
	records, err := readRecords(out)
	if err != nil {
		return err
	}
	if len(records) != 1 {
		return stage("startup", fmt.Errorf("the probe wrote %d records, not one", len(records)))
	}
	timing := in.c.Timing()
	ready := records[0].Time
	t.sample(0, "start_to_ready", seconds(ready-timing.Requested))
	t.sample(0, "start_to_exit", seconds(exit.At-timing.Requested))
	t.phases(0, timing, ready)
	if timing.Phases != nil {
		t.sample(0, "phase/exit", seconds(exit.At-ready))
	}
	return nil
}

// phases keeps what a start was spent on; execve lasts until the program's
// first instruction.
func (t *trial) phases(n int, timing runtimes.Timing, ready int64) {
	for i, ph := range timing.Phases {
		end := ready
		if i+1 < len(timing.Phases) {
			end = timing.Phases[i+1].Begin
		}
		t.sample(n, "phase/"+ph.Name, seconds(end-ph.Begin))
	}
}

// mostPhases is the largest fleet of which every instance's phases are kept:
// of a thousand instances they would be the bulk of the journal.
const mostPhases = 16

// fleet starts all instances, waits until each has said that it is there, and
// stops them.
func (t *trial) fleet(ctx context.Context, out *os.File, hold time.Duration) error {
	free, err := memAvailable()
	if err != nil {
		return err
	}
	release, err := t.startAll(ctx)
	defer release()
	if err != nil {
		return err
	}
	records, err := t.awaitRecords(ctx, out, len(t.instances))
	if err != nil {
		return err
	}
	left, err := memAvailable()
	if err != nil {
		return err
	}

	ready := map[int]int64{}
	for _, r := range records {
		if n, err := strconv.Atoi(r.ID); err == nil {
			ready[n] = r.Time
		}
	}
	first, last := int64(0), int64(0)
	for n, in := range t.instances {
		timing := in.c.Timing()
		at, ok := ready[n]
		if !ok {
			return stage("startup", fmt.Errorf("instance %d wrote no record", n))
		}
		t.sample(n, "start_to_ready", seconds(at-timing.Requested))
		if len(t.instances) <= mostPhases {
			t.phases(n, timing, at)
		}
		if first == 0 || timing.Requested < first {
			first = timing.Requested
		}
		last = max(last, at)
	}
	if n := len(t.instances); n > 1 {
		t.samples = append(t.samples,
			runner.Sample{Metric: "launch_rate", Unit: "op/s", Better: runner.Higher, Value: float64(n) / seconds(last-first)},
			runner.Sample{Metric: "memory_per_instance", Unit: "B", Better: runner.Lower, Value: float64(free-left) / float64(n)})
	}
	select {
	case <-time.After(hold):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for n, in := range t.instances {
		if err := t.stop(ctx, n, in); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) stop(ctx context.Context, n int, in *instance) error {
	begin := launch.Now()
	exit, err := in.c.Stop(ctx, stopGrace)
	if err != nil {
		return stage("stop", err)
	}
	if !exit.OK() && exit.Signal != unix.SIGTERM { // bwrap hands no signal on: it is its end
		return t.failure(in, exit)
	}
	t.sample(n, "stop", seconds(exit.At-begin))
	return nil
}

// startAll starts the instances from as many threads as there are CPUs. The
// containers die with the threads that started them, so these live until
// release.
func (t *trial) startAll(ctx context.Context) (release func(), err error) {
	over := make(chan struct{})
	var started, ended sync.WaitGroup
	var next atomic.Int64
	var once sync.Once
	work := func() {
		for {
			n := int(next.Add(1)) - 1
			if n >= len(t.instances) || ctx.Err() != nil {
				return
			}
			if startErr := t.instances[n].c.Start(ctx); startErr != nil {
				once.Do(func() { err = stage("start", fmt.Errorf("instance %d of %d: %w", n, len(t.instances), startErr)) })
				next.Store(int64(len(t.instances)))
				return
			}
		}
	}
	for range min(runtime.NumCPU(), len(t.instances)) {
		started.Add(1)
		ended.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends here
			work()
			started.Done()
			<-over
		})
	}
	started.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return func() { close(over); ended.Wait() }, err
}

// awaitRecords waits until n records are there.
func (t *trial) awaitRecords(ctx context.Context, out *os.File, n int) ([]probe.Record, error) {
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		st, err := out.Stat()
		if err != nil {
			return nil, err
		}
		if st.Size() >= int64(n*probe.RecordSize) {
			return readRecords(out)
		}
		if err := t.allAlive(ctx); err != nil {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, stage("startup", fmt.Errorf("%d of %d instances are ready: %w", st.Size()/probe.RecordSize, n, context.Cause(ctx)))
		}
	}
}

// allAlive looks for instances that ended although they were to wait.
func (t *trial) allAlive(ctx context.Context) error {
	for _, in := range t.instances {
		for _, pid := range in.c.PIDs() {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
			if err != nil || info.Signo == 0 {
				continue
			}
			exit, err := in.c.Wait(ctx)
			if err != nil {
				return stage("wait", err)
			}
			return t.failure(in, exit)
		}
	}
	return nil
}

func readRecords(out *os.File) ([]probe.Record, error) {
	st, err := out.Stat()
	if err != nil {
		return nil, err
	}
	text := make([]byte, st.Size())
	if _, err := out.ReadAt(text, 0); err != nil {
		return nil, fmt.Errorf("read the probe's records: %w", err)
	}
	records, err := probe.ParseRecords(text)
	return records, stage("startup", err)
}
