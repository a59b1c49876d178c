// Package probe asks the kernel, by trying, what it can do. Nothing it makes
// outlives the question: it works on descriptors, in scratch namespaces that
// die with a child, and in cgroups of its own that it removes.
package probe

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Go program cannot unshare a user namespace, for it has threads, nor leave
// a namespace once entered, nor run Go code after fork. So what needs a
// process of its own is a script: a list of system calls that a few lines of
// assembly carry out in a child that shares our memory, as vfork(2) does, and
// that then exits. No program is started.

// step is one system call of a script. Its layout is known to the assembly.
type step struct {
	nr    uintptr
	args  [6]uintptr
	fd    *int64  // if not nil, the first argument is this earlier result
	skip  uintptr // how many of the next steps are left out if this one fails
	ret   int64   // what it returned: a negative errno if it failed
	taken int64   // 1 once it was made
}

// script is a list of steps under construction, and what they point at.
type script struct {
	steps []*step
	pins  runtime.Pinner
}

// call adds a system call. Pointers among its arguments are given by ptr and
// str, which keep what they point at alive and in place until the script ran.
func (s *script) call(nr uintptr, args ...uintptr) *step {
	st := &step{nr: nr}
	copy(st.args[:], args)
	s.pins.Pin(st)
	s.steps = append(s.steps, st)
	return st
}

// with adds a system call whose first argument is what an earlier one
// returned.
func (s *script) with(from *step, nr uintptr, rest ...uintptr) *step {
	st := s.call(nr, append([]uintptr{0}, rest...)...)
	st.fd = &from.ret
	return st
}

func (s *script) str(text string) uintptr { return s.ptr(append([]byte(text), 0)) }

func (s *script) ptr(b []byte) uintptr {
	s.pins.Pin(unsafe.SliceData(b))
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}

// orSkip leaves out the n steps after st if it fails.
func (st *step) orSkip(n int) *step { st.skip = uintptr(n); return st }

// orStop ends the script if st fails.
func (st *step) orStop() *step { st.skip = ^uintptr(0); return st }

// err is the step's error: nil if it succeeded, errNotTried if it was left
// out.
func (st *step) err() error {
	switch {
	case st.taken == 0:
		return errNotTried
	case st.ret < 0:
		return unix.Errno(-st.ret)
	}
	return nil
}

// notTried is not an errno, so that no errno of the kernel's is mistaken for it.
type notTried struct{}

func (notTried) Error() string { return "not tried, since a step before it failed" }

var errNotTried = notTried{}

// vfork is clone(flags) whose child makes the steps and exits; it gives the
// child's process id or a negative errno. Implemented in assembly. The child
// keeps to its registers: with CLONE_VM its stack pointer is the caller's, and
// it never writes there.
//
//go:noescape
func vfork(flags uintptr, steps **step, n uintptr) (pid int64)

// start makes the child. Signals are blocked until the parent goes on, for a
// handler that ran in the child would run on our memory; the child keeps them
// blocked. The system calls are raw: the scheduler must not move us meanwhile.
func (s *script) start(flags uintptr) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, old := ^uint64(0), uint64(0)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	r := vfork(flags, unsafe.SliceData(s.steps), uintptr(len(s.steps)))
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	if r < 0 {
		return 0, unix.Errno(-r)
	}
	return int(r), nil
}

// wait takes the child's end, after which nothing uses the script's memory.
func (s *script) wait(pid int) error {
	defer s.pins.Unpin()
	var status unix.WaitStatus
	for {
		// __WALL: a child with no exit signal is not waited for otherwise.
		if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != unix.EINTR {
			break
		}
	}
	if status.Signaled() {
		return fmt.Errorf("the probing child was killed by %v", status.Signal())
	}
	return nil
}

// run carries the script out. The error is that of the child's creation;
// those of the steps are in the steps.
func (s *script) run() error {
	pid, err := s.start(unix.CLONE_VM | unix.CLONE_VFORK)
	if err != nil {
		s.pins.Unpin()
		return fmt.Errorf("clone a probing child: %w", err)
	}
	return s.wait(pid)
}
