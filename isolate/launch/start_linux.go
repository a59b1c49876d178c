package launch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Launcher starts programs. It may be used by several goroutines at once; it
// keeps the memory of as many launches as were under way together. Memory that
// is used again needs no page faults: they would be a tenth of a bare start.
type Launcher struct {
	// Missing is what this host's kernel lacks (MissingFeatures), and what is
	// therefore not used; set before the first Start.
	Missing Features

	mu   sync.Mutex
	free []*lane
}

// lane is the memory of one launch under way.
type lane struct {
	shared []byte // a slot, and at its end the stacks of the child and of its own
	code   code
}

func (l *lane) slot() *slot { return (*slot)(unsafe.Pointer(&l.shared[0])) }

func (l *Launcher) acquire() (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		taken := l.free[n-1]
		l.free = l.free[:n-1]
		return taken, nil
	}
	shared, err := unix.Mmap(-1, 0, laneSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes to share with a child: %w", laneSize, err)
	}
	return &lane{shared: shared}, nil
}

func (l *Launcher) release(used *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, used)
}

// Close gives the launcher's memory back. No launch may be under way.
func (l *Launcher) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, unused := range l.free {
		err = errors.Join(err, unix.Munmap(unused.shared))
	}
	l.free = nil
	return err
}

// Start runs p in a new child, up to and including its execve. When ctx ends
// before that, the child is killed, whatever call it hangs in.
//
// A program that asks for a parent-death signal gets it from the calling
// thread: the caller locks its goroutine to a thread that lives as long as
// the child is to live.
func (l *Launcher) Start(ctx context.Context, p *Program) (*Process, error) {
	requested := nanotime()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	mine, err := l.acquire()
	if err != nil {
		return nil, err
	}
	defer l.release(mine)
	s, c := mine.slot(), &mine.code
	*s = slot{}
	if err := c.encode(p, s); err != nil {
		return nil, err
	}
	s.calls, s.n = &c.calls[0], uintptr(len(c.calls))

	killed := killOnDone(ctx, &s.pid)
	var mapped func() error
	if p.IDMaps != nil {
		mapped = writeMaps(s, *p.IDMaps)
	}
	pid, errno := l.clone(p, s)
	runtime.KeepAlive(c)
	if errno != 0 {
		atomic.StoreInt32(&s.pid, -1)
	}
	interrupted := killed()
	if mapped != nil {
		err = mapped()
	}
	if errno != 0 {
		return nil, l.cloneError(p.Flags, errno)
	}
	fail := failure(p, s)
	if s.forked > 0 { // the child has ended, and its own child stands for it
		if fail != nil { // it may hang, and the child have been killed beside it
			unix.Kill(int(s.forked), unix.SIGKILL)
		}
		(&Process{PID: pid}).Wait()
		pid = int(s.forked)
	}
	proc := &Process{PID: pid, Requested: requested, Phases: phases(c, s, requested), noPidfd: l.Missing.Has(Pidfd)}
	if fail != nil {
		proc.Wait()
		if err != nil && fail.Err == errKilled {
			return nil, err // the child died because its maps could not be written
		}
		if interrupted {
			fail.Err = context.Cause(ctx)
		}
		return nil, fail
	}
	return proc, nil
}

// headroom is for the argument that spawn hands to run.
const headroom = 64

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// clone makes the child and returns when it has called execve or exited.
// Signals are blocked meanwhile: in a child that shares memory, a handler of
// Go's would run on the parent's data.
func (l *Launcher) clone(p *Program, s *slot) (int, syscall.Errno) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, old := ^uint64(0), uint64(0)
	setMask(&all, &old)
	defer setMask(&old, nil)

	top := uintptr(unsafe.Pointer(s)) + laneSize
	args := cloneArgs{
		flags:      p.Flags | unix.CLONE_VFORK | unix.CLONE_PARENT_SETTID,
		exitSignal: uint64(unix.SIGCHLD),
		parentTID:  uint64(uintptr(unsafe.Pointer(&s.pid))),
		stack:      uint64(top - forkStack),
		stackSize:  forkStack - headroom,
	}
	if !p.CopyMemory {
		args.flags |= unix.CLONE_VM
	}
	if !p.CopyFiles {
		args.flags |= unix.CLONE_FILES
	}
	if l.Missing.Has(ClearSighand) {
		s.reset = true
	} else {
		args.flags |= unix.CLONE_CLEAR_SIGHAND
	}
	if l.Missing.Has(Clone3) {
		flags := uintptr(args.flags | args.exitSignal)
		pid, errno := vfork(unix.SYS_CLONE, flags, uintptr(args.stack+args.stackSize), uintptr(args.parentTID), s)
		return int(pid), syscall.Errno(errno)
	}
	if p.Group >= 0 {
		args.flags |= unix.CLONE_INTO_CGROUP
		args.cgroup = uint64(p.Group)
	}
	pid, errno := vfork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0, s)
	return int(pid), syscall.Errno(errno)
}

// vfork makes the system call, during which the kernel suspends this thread
// until the child's execve. It stands between entersyscall and exitsyscall:
// otherwise this thread would keep its P, and a collector that stops the
// world would wait for it while it waits for a goroutine to write id maps.
//
//go:nosplit
//go:norace
func vfork(trap, a0, a1, a2 uintptr, s *slot) (pid, errno uintptr) {
	entersyscall()
	pid, errno = spawn(trap, a0, a1, a2, s)
	exitsyscall()
	return pid, errno
}

// spawn is in assembly: see spawn_linux_*.s.
//
//go:noescape
func spawn(trap, a0, a1, a2 uintptr, s *slot) (pid, errno uintptr)

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// nanotime reads CLOCK_MONOTONIC, in nanoseconds, without a system call.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

func setMask(set, old *uint64) {
	const sigsetSize = 8
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), sigsetSize, 0, 0)
}

// killOnDone kills the child at *pid when ctx ends. The function it returns
// must be called before the child is reaped; it says whether that happened.
func killOnDone(ctx context.Context, pid *int32) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	over := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(over)
		// The kernel sets the pid a moment after the clone is asked for.
		for atomic.LoadInt32(pid) == 0 {
			time.Sleep(50 * time.Microsecond)
		}
		if n := atomic.LoadInt32(pid); n > 0 {
			unix.Kill(int(n), unix.SIGKILL)
		}
	})
	return func() bool {
		if stopped() {
			return false
		}
		<-over
		return true
	}
}

func phases(c *code, s *slot, requested int64) []Phase {
	list := []Phase{{Name: "clone", Begin: requested}}
	for i, name := range c.phases {
		if at := s.stamps[i].Nano(); at != 0 {
			list = append(list, Phase{Name: name, Begin: at})
		}
	}
	return list
}
