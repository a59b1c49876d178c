package workloads

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/runner/workloads/stream"
)

// scalar is STREAM's factor. With 3, as in stream.c 5.10, values grow by 15
// in each repetition and overflow after 262; with the square root of 2 less 1
// they stay where they are, since s*s + 2*s = 1, however long it runs.
const scalar = math.Sqrt2 - 1

// streamKernels are the four loops over the arrays a, b and c, in STREAM's
// order, with the bytes that STREAM counts for an element.
var streamKernels = [4]struct {
	metric string
	bytes  int
	run    func(a, b, c []float64)
}{
	{"copy", 16, func(a, b, c []float64) { stream.Copy(c, a) }},
	{"scale", 16, func(a, b, c []float64) { stream.Scale(b, c, scalar) }},
	{"add", 24, func(a, b, c []float64) { stream.Add(c, a, b) }},
	{"triad", 24, func(a, b, c []float64) { stream.Triad(a, b, c, scalar) }},
}

// stream is McCalpin's STREAM (https://www.cs.virginia.edu/stream/) over
// three arrays of the given size: copy, scale, add and triad, in bytes per
// second. As there, each thread first touches the part that it works on, the
// first repetition is not counted, the figure is the best repetition, and the
// arrays must hold what they should at the end.
func (j *job) stream() error {
	n := int(j.size / 8)
	memory, err := allocate[float64](3 * n)
	if err != nil {
		return err
	}
	defer release(memory)

	best := [4]time.Duration{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}
	team := barrier{members: uint32(j.threads)}
	var over atomic.Bool
	err = onThreads(j.threads, func(i int) error {
		lo, hi := share(n, j.threads, i)
		a, b, c := memory[lo:hi], memory[n+lo:n+hi], memory[2*n+lo:2*n+hi]
		for k := range a {
			a[k], b[k], c[k] = 1, 2, 0
		}
		repetitions := 0
		for begin := time.Now(); !over.Load(); repetitions++ {
			var took [4]time.Duration
			for k, kernel := range streamKernels {
				// Before the wait: whoever comes out of it late must not find
				// that the others have done a part of the work in no time.
				start := time.Now()
				team.wait()
				kernel.run(a, b, c)
				team.wait()
				took[k] = time.Since(start)
			}
			if i == 0 {
				if repetitions > 0 {
					for k := range best {
						best[k] = min(best[k], took[k])
					}
				}
				over.Store(j.ctx.Err() != nil || repetitions > atLeast && time.Since(begin) >= 4*j.duration)
			}
			team.wait()
		}
		return checkArrays(a, b, c, repetitions)
	})
	if err == nil {
		err = j.ctx.Err()
	}
	if err != nil {
		return err
	}
	for k, kernel := range streamKernels {
		if err := j.rate(kernel.metric, "B/s", float64(n*kernel.bytes)/best[k].Seconds()); err != nil {
			return err
		}
	}
	return nil
}

// share is the part of n elements that thread i of so many works on: as even
// as whole cache lines allow.
func share(n, threads, i int) (lo, hi int) {
	const line = 8
	lines := (n + line - 1) / line
	return min(n, lines*i/threads*line), min(n, lines*(i+1)/threads*line)
}

// checkArrays compares the arrays with what one element of each comes to, as
// checkSTREAMresults of stream.c does: by the average relative error.
func checkArrays(a, b, c []float64, repetitions int) error {
	want := [3][]float64{{1}, {2}, {0}}
	for range repetitions {
		for _, kernel := range streamKernels {
			kernel.run(want[0], want[1], want[2])
		}
	}
	for k, array := range [3][]float64{a, b, c} {
		var sum float64
		for _, v := range array {
			sum += math.Abs(v - want[k][0])
		}
		if average := sum / float64(len(array)) / want[k][0]; !(average <= 1e-13) {
			return fmt.Errorf("array %c is wrong after %d repetitions: average relative error %.3g, at most 1e-13 is right", 'a'+k, repetitions, average)
		}
	}
	return nil
}

// barrier makes threads wait for one another. They spin, as OpenMP's do: to
// sleep and be woken takes as long as a good part of a repetition.
type barrier struct {
	members uint32
	arrived atomic.Uint32
	round   atomic.Uint32
}

func (b *barrier) wait() {
	round := b.round.Load()
	if b.arrived.Add(1) == b.members {
		b.arrived.Store(0)
		b.round.Add(1)
		return
	}
	for spins := 0; b.round.Load() == round; spins++ {
		if spins >= 10000 { // more threads than CPUs, or one was preempted
			unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
	}
}
