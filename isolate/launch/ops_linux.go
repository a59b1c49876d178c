package launch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors leaves the child its three files, what it is lent, and nothing
// else of the harness: it comes first. The table is unshared by the first
// call: cloning it would cost more the more containers run. Where the kernel
// lacks close_range, it is cloned.
func (p *Program) Descriptors(missing Features) {
	const phase = "descriptors"
	highest := max(p.Files[0], p.Files[1], p.Files[2], p.Lent, 2)
	p.CopyFiles = missing.Has(CloseRange)
	if !p.CopyFiles {
		p.Add(Op{Phase: phase, Call: unix.SYS_CLOSE_RANGE, Hint: "close_range came with Linux 5.9"},
			Number(highest+1), Number(-1), Number(unix.CLOSE_RANGE_UNSHARE))
	}
	p.dupFiles(phase)
	first := 3
	if p.Lent != 0 {
		p.dupLent(phase)
		first++
	}
	switch {
	case p.CopyFiles:
		p.Add(Op{Phase: phase, Call: callCloseFrom, Hint: "without close_range (Linux 5.9) this needs /proc"}, Number(first), String("/proc/self/fd"))
	case highest >= first:
		p.Add(Op{Phase: phase, Call: unix.SYS_CLOSE_RANGE}, Number(first), Number(-1), Number(0))
	}
}

func (p *Program) dupLent(phase string) {
	if p.Lent == LentFD { // dup3 refuses to make it itself
		p.Add(Op{Phase: phase, Call: unix.SYS_FCNTL}, Number(LentFD), Number(unix.F_SETFD), Number(unix.FD_CLOEXEC))
		return
	}
	p.Add(Op{Phase: phase, Call: unix.SYS_DUP3}, Number(p.Lent), Number(LentFD), Flags(OpenFlags, unix.O_CLOEXEC))
}

func (p *Program) dupFiles(phase string) {
	for i, fd := range p.Files {
		if fd != i {
			p.Add(Op{Phase: phase, Call: unix.SYS_DUP3, Hint: "are the files of standard input, output and error open still?"}, Number(fd), Number(i), Number(0))
		}
	}
}

// WriteFile opens path and writes data to it in one call, as the kernel's
// interface files want.
func (p *Program) WriteFile(phase, path, data, hint string) {
	p.Add(Op{Phase: phase, Object: path, Call: unix.SYS_OPENAT, Keep: true, Hint: hint},
		CurrentDir, String(path), Flags(OpenFlags, unix.O_WRONLY|unix.O_CLOEXEC), Number(0))
	p.Add(Op{Phase: phase, Object: path, Call: unix.SYS_WRITE, Want: len(data), Hint: hint},
		Kept, Bytes(data), Number(len(data)))
	p.Add(Op{Phase: phase, Object: path, Call: unix.SYS_CLOSE}, Kept)
}

// Fork lets a child go on with what follows, which ends with the execve, and
// ends this process then. The child is the harness's own, so that it can be
// waited for, and born in the pid namespace that setns chose: that one is for
// children only (pid_namespaces(7)). It needs CopyMemory.
func (p *Program) Fork() {
	p.Add(Op{Phase: "fork", Call: callFork, Hint: "ENOMEM: the first process of the pid namespace has ended"})
}

// AwaitMaps stops the child until the parent has written the IDMaps.
func (p *Program) AwaitMaps() {
	const phase = "id maps"
	p.Add(Op{Phase: phase, Call: unix.SYS_FUTEX}, Arg{kind: argSlotPID}, Named(FutexOps, futexWake), Number(1))
	p.Add(Op{Phase: phase, Call: unix.SYS_FUTEX, Try: syscall.EAGAIN},
		Arg{kind: argSlotMaps}, Named(FutexOps, futexWait), Number(0), Number(0))
}

// AwaitThen stops the child until IDMaps.Then has returned.
func (p *Program) AwaitThen(phase string) {
	p.Add(Op{Phase: phase, Call: unix.SYS_FUTEX, Try: syscall.EAGAIN},
		Arg{kind: argSlotMaps}, Named(FutexOps, futexWait), Number(1), Number(0))
}

// Exec ends a program: signals are unblocked again and path is executed.
func (p *Program) Exec(path string, args, env []string) {
	const sigsetSize = 8
	p.Add(Op{Phase: "execve", Call: unix.SYS_RT_SIGPROCMASK},
		Number(unix.SIG_SETMASK), Bytes("\x00\x00\x00\x00\x00\x00\x00\x00"), Number(0), Number(sigsetSize))
	p.Add(Op{Phase: "execve", Object: path, Call: unix.SYS_EXECVE,
		Hint: "the program, and the interpreter or loader it names, must exist inside the root"},
		String(path), Strings(args), Strings(env))
}
