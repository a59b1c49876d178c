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
	maps   int32 // set by the parent, to 1 once the id maps are written and to 2 after IDMaps.Then; a futex
	at     int32 // index of the call being made
	failed int32 // 1 + index of the call that failed
	errno  int32
	result uintptr // of a call that did not do what it should
	reset  bool    // signal handlers must be reset by hand: no CLONE_CLEAR_SIGHAND
	stamps [maxPhases]syscall.Timespec
	next   uintptr // index of the call that a forked child begins with
	forked int32   // pid of that child, set by the kernel before it first runs
	dents  [1024]byte
}

// A lane's shared memory ends with the child's stack, below it stands that of a
// child which it forks. What runs on them is nosplit: they never hold more
// than the few hundred bytes that the linker allows.
const (
	laneSize  = 32 << 10
	forkStack = 8 << 10
)

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
		s.reset = false
		resetSignals()
	}
	for i := s.next; i < s.n; i++ {
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
		var r uintptr
		var errno syscall.Errno
		switch c.nr {
		case callCloseFrom:
			errno = closeFrom(a[0], a[1], s)
		case callFork:
			s.next = i + 1
			errno = fork(s)
		default:
			r, _, errno = syscall.RawSyscall6(c.nr, a[0], a[1], a[2], a[3], a[4], a[5])
		}
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

// fork lets a child run from s.next on, and does not return unless that fails.
// The child shares this process's memory, which is a copy of the harness's
// and goes with it; its parent is the harness.
//
//go:nosplit
//go:norace
//go:nocheckptr
func fork(s *slot) syscall.Errno {
	const flags = unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PARENT | unix.CLONE_PARENT_SETTID
	stack := uintptr(unsafe.Pointer(s)) + laneSize - forkStack - headroom
	_, errno := spawn(unix.SYS_CLONE, flags, stack, uintptr(unsafe.Pointer(&s.forked)), s)
	if errno != 0 {
		return syscall.Errno(errno)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// closeFrom closes what is open from descriptor low on, as the directory list,
// /proc/self/fd, has it. That is in order and goes on behind the last number that was read,
// whatever is closed meanwhile.
//
//go:nosplit
//go:norace
//go:nocheckptr
func closeFrom(low, list uintptr, s *slot) syscall.Errno {
	const nameAt, lengthAt = 19, 16 // in struct linux_dirent64 of getdents64(2)
	self, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, atFDCWD, list, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_GETDENTS64, self, uintptr(unsafe.Pointer(&s.dents)), uintptr(len(s.dents)))
		if errno != 0 || n == 0 {
			syscall.RawSyscall(unix.SYS_CLOSE, self, 0, 0)
			return errno
		}
		for at := uintptr(0); at < n; at += uintptr(*(*uint16)(unsafe.Add(unsafe.Pointer(&s.dents), at+lengthAt))) {
			fd := uintptr(0)
			for p := at + nameAt; ; p++ {
				digit := *(*byte)(unsafe.Add(unsafe.Pointer(&s.dents), p))
				if digit < '0' || digit > '9' { // the end, or "." and "..", which give 0
					break
				}
				fd = 10*fd + uintptr(digit-'0')
			}
			if fd >= low && fd != self {
				syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
			}
		}
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
