package workloads

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"

	"plimsoll/profiles"
)

// line is the size of a cache line of amd64 and arm64, in 8-byte words.
const line = 8

// pointerChase follows one cycle through all cache lines of a region, in
// random order, each load giving the address of the next, on one thread:
// latency, in seconds a load. No prefetcher can know the way.
func (j *job) pointerChase() error {
	lines := int(j.size / 8 / line)
	if lines > math.MaxUint32 {
		return fmt.Errorf("size %s is too large: the way goes through 2^32 cache lines at most", profiles.FormatBytes(j.size))
	}
	region, err := allocate[uint64](lines * line)
	if err != nil {
		return err
	}
	defer release(region)
	order, err := allocate[uint32](lines)
	if err != nil {
		return err
	}
	defer release(order)
	cycle(region, order)

	const batch = 1000
	at, steps := uint64(order[0]), 0
	return onThreads(1, func(int) error {
		times, elapsed, err := j.repeat(func() error {
			for range batch {
				at = region[at*line]
			}
			steps += batch
			return nil
		})
		if err != nil {
			return err
		}
		if want := uint64(order[steps%len(order)]); at != want {
			return fmt.Errorf("the walk stands at line %d after %d steps, right is %d", at, steps, want)
		}
		return j.time("latency", elapsed.Seconds()/float64(times*batch))
	})
}

// cycle makes the first word of each cache line of region hold the number of
// the next, such that the walk goes through all of them, in the order that it
// leaves in order, and begins again.
func cycle(region []uint64, order []uint32) {
	for i := range order {
		order[i] = uint32(i)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := len(order) - 1; i > 0; i-- { // Fisher and Yates
		k := random.IntN(i + 1)
		order[i], order[k] = order[k], order[i]
	}
	last := order[len(order)-1]
	for _, next := range order {
		region[uint64(last)*line] = uint64(next)
		last = next
	}
}

// randomAccess updates random words of a table, on one thread, as HPCC's
// RandomAccess does: random_access, in updates per second. It verifies as
// that does: an update is an exclusive or, so that the same updates a second
// time must restore the table; and one thread has no excuse for an error.
func (j *job) randomAccess() error {
	table, err := allocate[uint64](1 << (bits.Len64(uint64(j.size/8)) - 1))
	if err != nil {
		return err
	}
	defer release(table)
	for i := range table {
		table[i] = uint64(i)
	}
	const batch = 10000
	return onThreads(1, func(int) error {
		state, updates := uint64(1), 0
		times, elapsed, err := j.repeat(func() error {
			state = update(table, state, batch)
			updates += batch
			return nil
		})
		if err != nil {
			return err
		}
		update(table, 1, updates)
		for i, v := range table {
			if v != uint64(i) {
				return fmt.Errorf("word %d of the table holds %#x after %d updates and their reversal", i, v, updates)
			}
		}
		return j.rate("random_access", "op/s", float64(times*batch)/elapsed.Seconds())
	})
}

// update makes n updates of a table whose size is a power of two, with HPCC's
// random numbers: a shift register over GF(2) with the polynomial
// x^63 + x^2 + x + 1, in the state given; it returns the state reached.
func update(table []uint64, state uint64, n int) uint64 {
	mask := uint64(len(table) - 1)
	for range n {
		state = state<<1 ^ uint64(int64(state)>>63)&7
		table[state&mask] ^= state
	}
	return state
}

// pageFault maps anonymous memory, writes to each page and unmaps it, on one
// thread: page_fault, in seconds a page, mapping and unmapping included. Huge
// pages are declined, so that there is a fault for each page; and it goes by a
// sixteenth of the size at a time, so that a short measurement has many.
func (j *job) pageFault() error {
	pageSize := os.Getpagesize()
	pages := int(j.size) / 16 / pageSize
	return onThreads(1, func(int) error {
		times, elapsed, err := j.repeat(func() error {
			before, err := minorFaults()
			if err != nil {
				return err
			}
			region, err := allocate[byte](pages * pageSize)
			if err != nil {
				return err
			}
			defer release(region)
			// EINVAL: the kernel has no huge pages to decline.
			if err := unix.Madvise(region, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
				return fmt.Errorf("decline huge pages: %w", err)
			}
			for i := 0; i < len(region); i += pageSize {
				region[i] = 1
			}
			after, err := minorFaults()
			if err != nil {
				return err
			}
			if got := after - before; got < int64(pages) {
				return fmt.Errorf("getrusage counted %d page faults, and there should be %d", got, pages)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return j.time("page_fault", elapsed.Seconds()/float64(times*pages))
	})
}

// minorFaults is the number of page faults of the thread so far that needed
// no input.
func minorFaults() (int64, error) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &usage)
	return usage.Minflt, err
}
