package workloads

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Steps of the integer loop between two looks at the clock, a fraction of a
// millisecond, and what they must come to.
const (
	integerSteps  = 1 << 17
	integerResult = 0xa485bc5020f74cb0
)

// integer runs a chain of shifts, exclusive ors and multiplications on all
// threads: integer, in steps per second.
func (j *job) integer() error {
	rates := make([]float64, j.threads)
	err := onThreads(j.threads, func(i int) error {
		times, elapsed, err := j.repeat(func() error {
			if got := mix(1, integerSteps); got != integerResult {
				return fmt.Errorf("the loop came to %#x, right is %#x", got, uint64(integerResult))
			}
			return nil
		})
		rates[i] = float64(times) * integerSteps / elapsed.Seconds()
		return err
	})
	if err != nil {
		return err
	}
	var sum float64
	for _, r := range rates {
		sum += r
	}
	return j.rate("integer", "op/s", sum)
}

// mix takes x through as many steps as said. Each needs the one before it,
// so that no compiler can shorten the way.
func mix(x uint64, steps int) uint64 {
	for range steps {
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9 // the odd factor of splitmix64
		x++
	}
	return x
}

// systemCall calls getpid(2), the least that a system call can do and nothing
// that the vDSO answers (vdso(7)), on one thread: syscall, in seconds a call.
func (j *job) systemCall() error {
	const batch = 1000
	pid := uintptr(os.Getpid())
	return onThreads(1, func(int) error {
		times, elapsed, err := j.repeat(func() error {
			var sum uintptr
			for range batch {
				got, _, _ := unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
				sum += got
			}
			if sum != batch*pid {
				return fmt.Errorf("%d calls of getpid came to %d, right is %d", batch, sum, batch*pid)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return j.time("syscall", elapsed.Seconds()/float64(times*batch))
	})
}

// contextSwitch has two threads on one CPU pass a byte back and forth through
// two pipes, as lmbench's lat_ctx and perf bench sched pipe do:
// context_switch, in seconds, is half a round, a write and a read included.
func (j *job) contextSwitch() error {
	var pipes [2][2]int
	for i := range pipes {
		if err := unix.Pipe2(pipes[i][:], unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("make a pipe: %w", err)
		}
		defer unix.Close(pipes[i][0])
	}
	cpu, err := lastCPU()
	if err != nil {
		return err
	}
	const batch = 100
	return onThreads(2, func(i int) error {
		in, out := pipes[i][0], pipes[1-i][1]
		// The other's read ends with this thread's end, whatever the reason.
		defer unix.Close(out)
		// Without leave to choose the CPU, both may run at once, and what is
		// measured is waking a thread elsewhere. It is still two switches.
		if err := unix.SchedSetaffinity(0, &cpu); err != nil && err != unix.EPERM && err != unix.ENOSYS {
			return fmt.Errorf("choose the CPU: %w", err)
		}
		if i == 1 {
			return echo(in, out)
		}
		before, err := switches()
		if err != nil {
			return err
		}
		rounds := 0
		times, elapsed, err := j.repeat(func() error {
			for range batch {
				rounds++
				if err := throw(out, byte(rounds)); err != nil {
					return err
				}
				if got, err := catch(in); err != nil || got != byte(rounds) {
					return fmt.Errorf("round %d brought back %d (%v)", rounds, got, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		after, err := switches()
		if err != nil {
			return err
		}
		// One short: the other may not have gone back to sleep.
		if got, want := after-before, int64(2*rounds-1); got < want {
			return fmt.Errorf("getrusage counted %d context switches, and there should be %d", got, want)
		}
		return j.time("context_switch", elapsed.Seconds()/float64(times*batch*2))
	})
}

// lastCPU is the last of the CPUs that the process may use: the first of a
// machine tends to be the one that serves its interrupts.
func lastCPU() (last unix.CPUSet, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return last, fmt.Errorf("ask which CPUs may be used: %w", err)
	}
	for i := range 8 * int(unsafe.Sizeof(all)) {
		if all.IsSet(i) {
			last.Zero()
			last.Set(i)
		}
	}
	return last, nil
}

// switches is the number of context switches of the process so far.
func switches() (int64, error) {
	var usage unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return usage.Nvcsw + usage.Nivcsw, err
}

// echo sends back every byte that arrives, until there are no more.
func echo(in, out int) error {
	for {
		b, err := catch(in)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = throw(out, b)
		}
		if err != nil {
			return err
		}
	}
}

// throw and catch are raw system calls: Go's own give the thread's place to
// another one whenever they block, which is every time.
func throw(pipe int, b byte) error {
	if n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(pipe), uintptr(unsafe.Pointer(&b)), 1); n != 1 {
		return fmt.Errorf("write to the pipe: %w", errno)
	}
	return nil
}

func catch(pipe int) (b byte, err error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(pipe), uintptr(unsafe.Pointer(&b)), 1)
	switch {
	case errno != 0:
		return 0, fmt.Errorf("read from the pipe: %w", errno)
	case n == 0:
		return 0, io.EOF
	}
	return b, nil
}
