package workloads

import (
	"math"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Each check of a workload must notice work that was not done, or done wrong.

func TestScaledResidual(t *testing.T) {
	a := []float64{2, 1, 1, 3}
	b := []float64{5, 10}
	if r := scaledResidual(a, []float64{1, 3}, b); r != 0 {
		t.Errorf("the solution has a scaled residual of %v", r)
	}
	for _, x := range [][]float64{{1, 3 + 1e-12}, {0, 0}, {math.NaN(), 3}} {
		if r := scaledResidual(a, x, b); r <= 16 {
			t.Errorf("%v, which is no solution, has a scaled residual of %v", x, r)
		}
	}
}

func TestMix(t *testing.T) {
	if got := mix(1, integerSteps); got != integerResult {
		t.Errorf("got %#x, want %#x", got, uint64(integerResult))
	}
	if mix(1, integerSteps-1) == integerResult || mix(2, integerSteps) == integerResult {
		t.Error("the result does not depend on what was done")
	}
}

func TestCheckArrays(t *testing.T) {
	arrays := func() (a, b, c []float64) {
		n := 100
		return slices.Repeat([]float64{1}, n), slices.Repeat([]float64{2}, n), make([]float64, n)
	}
	a, b, c := arrays()
	const repetitions = 1000 // a factor of 3 would have overflowed
	for range repetitions {
		for _, kernel := range streamKernels {
			kernel.run(a, b, c)
		}
	}
	if err := checkArrays(a, b, c, repetitions); err != nil {
		t.Error(err)
	}
	for _, array := range [][]float64{a, b, c} {
		right := array[50]
		for _, wrong := range []float64{right * (1 + 1e-9), 0, math.NaN(), math.Inf(1)} {
			array[50] = wrong
			if checkArrays(a, b, c, repetitions) == nil {
				t.Errorf("%v in place of %v was not noticed", wrong, right)
			}
		}
		array[50] = right
	}
	a, b, c = arrays()
	if checkArrays(a, b, c, 1) == nil {
		t.Error("a repetition that was not done was not noticed")
	}
}

// The shares of all threads are disjoint, cover the arrays, and differ by no
// more than a cache line and the last one's remainder.
func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, threads := rapid.IntRange(1, 10000).Draw(t, "n"), rapid.IntRange(1, 64).Draw(t, "threads")
		end := 0
		for i := range threads {
			lo, hi := share(n, threads, i)
			if lo != end || hi < lo || hi-lo > n/threads+2*8 {
				t.Fatalf("thread %d works on [%d, %d) after %d", i, lo, hi, end)
			}
			end = hi
		}
		if end != n {
			t.Fatalf("%d of %d elements are worked on", end, n)
		}
	})
}

func TestBarrier(t *testing.T) {
	const members, rounds = 3, 200
	b := barrier{members: members}
	var sum, late atomic.Int64
	onThreads(members, func(int) error {
		for round := range int64(rounds) {
			sum.Add(1)
			b.wait()
			if sum.Load() != (round+1)*members {
				late.Add(1)
			}
			b.wait()
		}
		return nil
	})
	if late.Load() != 0 {
		t.Errorf("%d times a thread went on before the others had come", late.Load())
	}
}

func TestCycle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 500).Draw(t, "lines")
		region, order := make([]uint64, n*line), make([]uint32, n)
		cycle(region, order)
		seen, at := make([]bool, n), uint64(order[0])
		for step := range n {
			if seen[at] || at != uint64(order[step]) {
				t.Fatalf("step %d of %d leads to line %d", step, n, at)
			}
			seen[at] = true
			at = region[at*line]
		}
		if at != uint64(order[0]) {
			t.Fatalf("the walk through %d lines ends at %d, not where it began", n, at)
		}
	})
}

// The random numbers are HPCC's, by the formula of its RandomAccess.h, and
// the same updates restore the table.
func TestUpdate(t *testing.T) {
	const n = 5000
	table := make([]uint64, 64)
	got, want := update(table, 1, n), uint64(1)
	for range n {
		high := want >> 63
		want <<= 1
		if high == 1 {
			want ^= 7
		}
	}
	if got != want {
		t.Errorf("the state after %d updates is %#x, want %#x", n, got, want)
	}
	changed := 0
	for _, v := range table {
		if v != 0 {
			changed++
		}
	}
	if changed < 60 {
		t.Errorf("%d updates changed %d of 64 words", n, changed)
	}
	update(table, 1, n)
	if !slices.Equal(table, make([]uint64, 64)) {
		t.Error("the same updates did not restore the table")
	}
}

func newTestFile(t *testing.T, direct bool) *testFile {
	t.Helper()
	f, err := newFile(filepath.Join(t.TempDir(), "data"), 4096, direct)
	if err == nil {
		t.Cleanup(f.close)
		err = f.fill(10*4096 + 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	if f.blocks != 10 {
		t.Fatalf("%d blocks, want 10", f.blocks)
	}
	return f
}

func TestTestFile(t *testing.T) {
	f := newTestFile(t, false)
	for block := range f.blocks {
		if err := f.read(block); err != nil {
			t.Fatal(err)
		}
		if err := f.checkFilled(block); err != nil {
			t.Error(err)
		}
		if !stamped(f.buffer, f.offset(block), filled) || stamped(f.buffer, f.offset(block+1), filled) || stamped(f.buffer, f.offset(block), writtenInOrder) {
			t.Errorf("block %d is taken for another", block)
		}
		if f.checkFilled(block+1) == nil {
			t.Errorf("block %d passes for block %d", block, block+1)
		}
	}
	f.buffer[2000]++
	checkError(t, "one byte wrong", f.checkFilled(9), "at byte 38864")
	checkError(t, "past the end", f.read(10), "only 0 of 4096 bytes came")
	// What went through the page cache is there.
	checkError(t, "cached", f.checkUncached(), "direct I/O left 10 of the 10 pages")
}

func TestWriteIsChecked(t *testing.T) {
	f := newTestFile(t, false)
	stamp(f.buffer, f.offset(3), writtenAtRandom)
	if err := f.write(3); err != nil {
		t.Fatal(err)
	}
	clear(f.buffer)
	if err := f.read(3); err != nil {
		t.Fatal(err)
	}
	if !stamped(f.buffer, f.offset(3), writtenAtRandom) || stamped(f.buffer, f.offset(3), filled) {
		t.Error("what was written was not read")
	}
	unix.Close(f.fd)
	if f.fd, _ = unix.Open("/dev/full", unix.O_RDWR|unix.O_CLOEXEC, 0); f.fd < 0 {
		t.Fatal("open /dev/full")
	}
	checkError(t, "full", f.write(0), "no space left on device (choose a smaller size")
}

func TestSwitchesAreCounted(t *testing.T) {
	before, err := switches()
	if err != nil {
		t.Fatal(err)
	}
	unix.Nanosleep(&unix.Timespec{Nsec: 1000}, nil)
	if after, _ := switches(); after <= before {
		t.Errorf("a sleep is not counted: %d switches before, %d after", before, after)
	}
}
