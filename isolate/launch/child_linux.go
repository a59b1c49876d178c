package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is an Op as the child reads it: no pointers of Go's but addresses of
// memory that the parent keeps alive.
type call struct {
	nr    uintptr
	args  [6]uintptr
	kept  uint8 // 1 + the argument that is replaced by the kept result; 0 is none
	stamp uint8 // 1 + the phase that begins here; 0 is none
	keep  bool
	want  uintptr
	try   syscall.Errno
	ack   *int32 // where a netlink acknowledgement has its errno, negative
}

const maxPhases = 96

// slot is the memory that parent and child share during one launch, followed
// by the child's stack. It is a mapping of its own, not Go's heap, so that it
// is shared also when the child has a copy of everything else.
type slot struct {
	calls  *call
	n      uintptr
	kept   uintptr
	pid    int32 // set by the kernel before the child first runs; a futex
	maps   int32 // set by the parent once the id maps are written; a futex
	at     int32 // index of the call being made
	failed int32 // 1 + index of the call that failed
	errno  int32
	result uintptr // of a call that did not do what it should
	reset  bool    // signal handlers must be reset by hand: no CLONE_CLEAR_SIGHAND
	stamps [maxPhases]syscall.Timespec
}

// run is the child: it makes the program's calls in order. It stands between
// clone and exec, in memory shared with a running Go program, on a stack that
// the runtime does not know: so no allocation, no stack growth, no write
// barrier, no race detector, and system calls made raw.
//
//lint:ignore U1000 called from spawn_linux_*.s
//go:nosplit
//go:norace
//go:nocheckptr
func run(s *slot) {
	if s.reset {
		resetSignals()
	}
	for i := uintptr(0); i < s.n; i++ {
		c := (*call)(unsafe.Add(unsafe.Pointer(s.calls), i*unsafe.Sizeof(call{})))
		if c.stamp != 0 {
			at := unsafe.Add(unsafe.Pointer(&s.stamps), uintptr(c.stamp-1)*unsafe.Sizeof(syscall.Timespec{}))
			syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(at), 0)
		}
		s.at = int32(i)
		a := (*[6]uintptr)(unsafe.Pointer(&c.args))
		if c.kept != 0 {
			*(*uintptr)(unsafe.Add(unsafe.Pointer(a), uintptr(c.kept-1)*unsafe.Sizeof(uintptr(0)))) = s.kept
		}
		r, _, errno := syscall.RawSyscall6(c.nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 && c.ack != nil {
			errno = syscall.Errno(-*c.ack)
		}
		if errno != 0 && errno == c.try {
			continue
		}
		if errno != 0 || (c.want != 0 && r != c.want) {
			s.result = r
			s.errno = int32(errno)
			s.failed = int32(i) + 1
			for {
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
			}
		}
		if c.keep {
			s.kept = r
		}
	}
	for { // a program that does not end in execve
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 126, 0, 0)
	}
}

// resetSignals sets every handler to its default, as CLONE_CLEAR_SIGHAND does
// from Linux 5.5 on: a Go handler must not run in a child that shares memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func resetSignals() {
	const sigsetSize = 8
	var standard [4]uintptr // struct kernel_sigaction: SIG_DFL, no flags, empty mask
	for n := uintptr(1); n <= 64; n++ {
		if n != uintptr(unix.SIGKILL) && n != uintptr(unix.SIGSTOP) {
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&standard)), 0, sigsetSize, 0, 0)
		}
	}
}
