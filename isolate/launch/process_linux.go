package launch

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Phase is a part of a launch. It lasts until the next one begins.
type Phase struct {
	Name  string
	Begin int64 // CLOCK_MONOTONIC, nanoseconds
}

// Process is a child that has called execve.
type Process struct {
	PID       int
	Requested int64   // CLOCK_MONOTONIC when Start was called, nanoseconds
	Phases    []Phase // from the clone to the execve

	noPidfd bool // the kernel has none

	mu     sync.RWMutex // held for writing while the process is reaped
	reaped bool
	exit   Exit
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status, or -1 when a signal ended it
	Signal syscall.Signal // 0 when it exited
	At     int64          // CLOCK_MONOTONIC when the exit was seen, nanoseconds
	User   int64          // CPU time in user mode, nanoseconds, with waited-for descendants
	System int64          // CPU time in the kernel, nanoseconds
	MaxRSS int64          // bytes
}

// OK reports whether the process exited with status 0.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 }

func (e Exit) String() string {
	if e.Signal != 0 {
		return "killed by " + unix.SignalName(e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Wait blocks the calling thread until the process has ended, and reaps it.
// It may be called again.
func (p *Process) Wait() (Exit, error) {
	// The process is left a zombie at first, so that its pid cannot come to
	// mean another while Signal uses it.
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err == syscall.EINTR {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.reaped {
			return p.exit, nil
		}
		return Exit{}, os.NewSyscallError(fmt.Sprintf("wait for process %d: waitid", p.PID), err)
	}
	at := nanotime()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return p.exit, nil
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	if _, err := syscall.Wait4(p.PID, &status, 0, &usage); err != nil {
		return Exit{}, os.NewSyscallError(fmt.Sprintf("reap process %d: wait4", p.PID), err)
	}
	p.reaped = true
	p.exit = Exit{Code: status.ExitStatus(), At: at, User: usage.Utime.Nano(), System: usage.Stime.Nano(), MaxRSS: usage.Maxrss << 10}
	if status.Signaled() {
		p.exit.Code, p.exit.Signal = -1, status.Signal()
	}
	return p.exit, nil
}

// Reaped reports whether Wait has seen the process's end.
func (p *Process) Reaped() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.reaped
}

// Signal sends sig to the process; one that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.reaped {
		return nil
	}
	if err := unix.Kill(p.PID, sig); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), p.PID, err)
	}
	return nil
}

// Hold calls f while the process is not reaped, so that PID means no other.
func (p *Process) Hold(f func() error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.reaped {
		return ErrEnded
	}
	return f()
}

// ErrEnded is what Hold says of a process that was reaped.
var ErrEnded = errors.New("the process has ended")

// Now reads the clock of Requested, Begin and At.
func Now() int64 { return nanotime() }

// WaitFor is Wait with a bound: it reports false when the process still runs
// after d.
func (p *Process) WaitFor(d time.Duration) (Exit, bool, error) {
	deadline := time.Now().Add(d)
	for {
		ended, err := p.ended(time.Until(deadline))
		if ended || err != nil {
			exit, waitErr := p.Wait()
			return exit, true, waitErr
		}
		if time.Now().After(deadline) {
			return Exit{}, false, nil
		}
	}
}

// ended waits at most d for the process to become a zombie. It takes a pidfd,
// for that long only: a descriptor for each container would be one too many.
func (p *Process) ended(d time.Duration) (bool, error) {
	p.mu.RLock()
	if p.reaped {
		p.mu.RUnlock()
		return true, nil
	}
	if p.noPidfd {
		p.mu.RUnlock()
		time.Sleep(min(d, 100*time.Microsecond))
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		return err != nil || info.Signo != 0, nil
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	p.mu.RUnlock()
	if err != nil {
		return false, fmt.Errorf("wait for process %d: pidfd_open: %w", p.PID, err)
	}
	defer unix.Close(fd)
	list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	timeout := unix.NsecToTimespec(int64(max(d, 0)))
	n, err := unix.Ppoll(list, &timeout, nil)
	if err != nil && err != unix.EINTR {
		return false, fmt.Errorf("wait for process %d: ppoll: %w", p.PID, err)
	}
	return n > 0, nil
}
