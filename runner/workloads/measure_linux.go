package workloads

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"plimsoll/runner"
)

// job is one run of one workload.
type job struct {
	options
	ctx  context.Context
	emit func(Measurement) error

	dir  string // where io makes its own
	tmp  string // that directory, "" until it is there
	data *testFile
}

// parts are the parts of each workload, in the order in which they run.
var parts = map[string][]struct {
	name string
	run  func(*job) error
}{
	"cpu": {
		{"linpack", (*job).linpack},
		{"integer", (*job).integer},
		{"syscall", (*job).systemCall},
		{"switch", (*job).contextSwitch},
	},
	"memory": {
		{"stream", (*job).stream},
		{"latency", (*job).pointerChase},
		{"random", (*job).randomAccess},
		{"fault", (*job).pageFault},
	},
	// What is read must not have been overwritten; and flushing the large
	// file leaves the disk busy.
	"io": {
		{"fsync", (*job).fsync},
		{"metadata", (*job).metadata},
		{"seq_read", (*job).seqRead},
		{"rand_read", (*job).randRead},
		{"seq_write", (*job).seqWrite},
		{"rand_write", (*job).randWrite},
	},
}

func measure(ctx context.Context, name string, o options, dir string, emit func(Measurement) error) (err error) {
	// The collector is off, but for what a very long run would pile up.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(256 << 20))
	if o.threads == 0 {
		// Not GOMAXPROCS, which Go lowers to the CPU quota: the same number
		// of threads must run with a limit and without.
		o.threads = runtime.NumCPU()
	}
	j := &job{options: o, ctx: ctx, dir: dir, emit: emit}
	defer func() { err = errors.Join(err, j.cleanUp()) }()
	for _, part := range parts[name] {
		if j.part == "all" || j.part == part.name {
			if err := part.run(j); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	return nil
}

// rate reports a figure that is better the higher it is.
func (j *job) rate(metric, unit string, value float64) error {
	return j.report(Measurement{metric, unit, runner.Higher, value})
}

// time reports a figure in seconds, better the lower it is.
func (j *job) time(metric string, value float64) error {
	return j.report(Measurement{metric, "s", runner.Lower, value})
}

func (j *job) report(m Measurement) error {
	if !(m.Value > 0) || math.IsInf(m.Value, 0) {
		return fmt.Errorf("%s came out as %v %s, which cannot be", m.Metric, m.Value, m.Unit)
	}
	return j.emit(m)
}

// atLeast is the fewest times that a measurement does its work.
const atLeast = 3

// repeat does work over and over: to warm up for a tenth of the duration, and
// then to be measured for all of it. It returns how often it did so, and the
// time that this took.
func (j *job) repeat(work func() error) (times int, elapsed time.Duration, err error) {
	if _, _, err := j.repeatFor(j.duration/10, 1, work); err != nil {
		return 0, 0, err
	}
	return j.repeatFor(j.duration, atLeast, work)
}

func (j *job) repeatFor(duration time.Duration, least int, work func() error) (times int, elapsed time.Duration, err error) {
	for start := time.Now(); times < least || elapsed < duration; elapsed = time.Since(start) {
		if err := j.ctx.Err(); err != nil {
			return times, elapsed, err
		}
		if err := work(); err != nil {
			return times, elapsed, err
		}
		times++
	}
	return times, elapsed, nil
}

// onThreads runs work on n threads of their own, each with a number from 0,
// and returns one of the errors if there are any. A thread ends with its
// work, and what was done to it (its CPUs, say) ends with it.
func onThreads(n int, work func(i int) error) error {
	// A thread that sits in a raw system call keeps its share of GOMAXPROCS:
	// there must be more for whoever is to wake it.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n + 1))
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			runtime.LockOSThread()
			errs[i] = work(i)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// allocate maps n elements of anonymous memory, off the Go heap: page-aligned,
// zero, and not yet touched. Whether huge pages back it is the host's setting,
// as it is for the arrays of a C program.
func allocate[T any](n int) ([]T, error) {
	var element T
	size := n * int(unsafe.Sizeof(element))
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of memory: %w (choose a smaller size)", size, err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n), nil
}

func release[T any](s []T) {
	size := len(s) * int(unsafe.Sizeof(s[0]))
	unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), size))
}
