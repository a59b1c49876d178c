package launch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors begins a program: it leaves the child three descriptors, copies
// of files, and nothing else of the harness. The table is unshared by the
// first call: cloning it would cost more the more containers run.
func Descriptors(files [3]int) []Op {
	const phase = "descriptors"
	highest := max(files[0], files[1], files[2], 2)
	ops := []Op{{Phase: phase, Call: unix.SYS_CLOSE_RANGE,
		Args: []Arg{Number(highest + 1), Number(-1), Number(unix.CLOSE_RANGE_UNSHARE)},
		Hint: "close_range came with Linux 5.9"}}
	for i, fd := range files {
		if fd != i {
			ops = append(ops, Op{Phase: phase, Call: unix.SYS_DUP3, Args: []Arg{Number(fd), Number(i), Number(0)}})
		}
	}
	if highest > 2 {
		ops = append(ops, Op{Phase: phase, Call: unix.SYS_CLOSE_RANGE, Args: []Arg{Number(3), Number(-1), Number(0)}})
	}
	return ops
}

// WriteFile opens path and writes data to it in one call, as the kernel's
// interface files want.
func WriteFile(phase, path, data, hint string) []Op {
	return []Op{
		{Phase: phase, Object: path, Call: unix.SYS_OPENAT, Keep: true, Hint: hint,
			Args: []Arg{CurrentDir, String(path), Flags(OpenFlags, unix.O_WRONLY|unix.O_CLOEXEC), Number(0)}},
		{Phase: phase, Object: path, Call: unix.SYS_WRITE, Want: len(data), Hint: hint,
			Args: []Arg{Kept, Bytes(data), Number(len(data))}},
		{Phase: phase, Object: path, Call: unix.SYS_CLOSE, Args: []Arg{Kept}},
	}
}

// AwaitMaps stops the child until the parent has written Program.IDMaps.
func AwaitMaps() []Op {
	const phase = "id maps"
	wait := Op{Phase: phase, Call: unix.SYS_FUTEX, Try: syscall.EAGAIN,
		Args: []Arg{{kind: argSlotMaps}, Named(FutexOps, futexWait), Number(0), Number(0)}}
	return []Op{
		{Phase: phase, Call: unix.SYS_FUTEX, Args: []Arg{{kind: argSlotPID}, Named(FutexOps, futexWake), Number(1)}},
		wait,
	}
}

// Exec ends a program: signals are unblocked again and path is executed.
func Exec(path string, args, env []string) []Op {
	const sigsetSize = 8
	return []Op{
		{Phase: "execve", Call: unix.SYS_RT_SIGPROCMASK,
			Args: []Arg{Number(unix.SIG_SETMASK), Bytes(string(make([]byte, sigsetSize))), Number(0), Number(sigsetSize)}},
		{Phase: "execve", Object: path, Call: unix.SYS_EXECVE, Args: []Arg{String(path), Strings(args), Strings(env)},
			Hint: "the program, and the interpreter or loader it names, must exist inside the root"},
	}
}
