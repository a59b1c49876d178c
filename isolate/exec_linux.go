package isolate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// Exec is a further program in a container that runs. It has the container's
// cgroup, namespaces, user and privileges.
type Exec struct {
	Path string // absolute, inside the root
	Args []string
	Env  []string
	Dir  string // "" is "/"

	Stdin, Stdout, Stderr *os.File // nil is /dev/null

	NewSession    bool
	DieWithParent bool // killed when the thread that started it ends
}

// Exec runs a further program in the container, up to its execve. It ends
// with the container's first process where there is a pid namespace, and with
// Remove, during which none may be started. Unlike containers it costs a goroutine until it ends: the kernel
// lets the first process of a pid namespace end only when all others are
// reaped, and this one is reaped by us.
func (c *Container) Exec(ctx context.Context, x Exec) (*launch.Process, error) {
	requested := launch.Now()
	var proc *launch.Process
	err := errNotStarted
	switch {
	case c.proc == nil:
	case !path.IsAbs(x.Path):
		err = errors.New("the path must be absolute")
	case c.frozen.Load():
		err = errors.New("the container is frozen: thaw it first")
	default:
		err = c.proc.Hold(func() (err error) {
			program := CompileExec(&c.spec, &x, c.proc.PID, c.engine.files(x.Stdin, x.Stdout, x.Stderr), c.currentJoin(), c.engine.Missing())
			proc, err = c.launch(ctx, requested, program)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("exec %s: %w", x.Path, err)
	}
	go proc.Wait()
	c.mu.Lock()
	c.execs = append(c.execs, proc)
	c.mu.Unlock()
	return proc, nil
}

// entered are the namespaces in the order in which they are entered: the user
// namespace first, for it gives the capabilities to enter those that it owns,
// and the mount namespace last, for the paths are the host's.
var entered = []struct {
	ns   Namespaces
	file string
}{
	{UserNS, "user"}, {IPC, "ipc"}, {UTS, "uts"}, {Net, "net"}, {Cgroup, "cgroup"}, {PID, "pid"}, {Time, "time"}, {Mnt, "mnt"},
}

// CompileExec gives the launch program that runs x in the container which was
// made by s and whose first process is pid.
//
// Its child has a copy of the harness's memory, never the memory itself: other
// programs of the container see it as soon as it is in there, before its
// execve. Nor do they get to see the copy: it is not dumpable, as is runc's
// (CVE-2016-9962).
func CompileExec(s *Spec, x *Exec, pid int, files [3]int, join cgroup.Join, missing launch.Features) *launch.Program {
	spec := *s
	spec.DieWithParent = x.DieWithParent
	c := compiler{launch.New(files), &spec, missing}
	c.NoStamps, c.CopyMemory = s.NoStamps, true
	c.Descriptors(missing)
	c.prctl("hide memory", unix.PR_SET_DUMPABLE, launch.Number(0), 0)
	if x.DieWithParent {
		c.parentDeathSignal()
	}
	c.joinGroups(join)
	for _, n := range entered {
		if s.Namespaces.Has(n.ns) {
			c.enter(n.ns, fmt.Sprintf("/proc/%d/ns/%s", pid, n.file))
		}
	}
	if s.Namespaces.Has(PID) {
		c.Fork()
		if x.DieWithParent {
			c.parentDeathSignal()
		}
	}
	if x.NewSession {
		c.Add(launch.Op{Phase: "setsid", Call: unix.SYS_SETSID})
	}
	if s.Namespaces.Has(UserNS) {
		c.become("user namespace root", User{})
	}
	dir := x.Dir
	if dir == "" {
		dir = "/"
	}
	c.finish(x.Path, x.Args, x.Env, dir)
	return c.Program
}

func (c compiler) enter(ns Namespaces, file string) {
	const phase, hint = "enter namespaces", "has the container's first process ended?"
	c.Add(launch.Op{Phase: phase, Object: file, Call: unix.SYS_OPENAT, Keep: true, Hint: hint},
		launch.CurrentDir, launch.String(file), launch.Flags(launch.OpenFlags, unix.O_CLOEXEC), launch.Number(0))
	c.Add(launch.Op{Phase: phase, Object: file, Call: unix.SYS_SETNS, Hint: hint},
		launch.Kept, launch.Flags(launch.CloneFlags, uint64(ns)))
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_CLOSE}, launch.Kept)
}
