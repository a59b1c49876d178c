package isolate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// Engine makes the containers of one run. It may be used by several
// goroutines at once.
type Engine struct {
	run      *cgroup.Run
	launcher launch.Launcher
	programs sync.Pool // of *launch.Program
	null     *os.File
	bare     int // descriptor of the run's group of bare processes, -1 without one
	keeper   *Container

	// LaunchTimeout bounds a start whose context has no deadline: a child that
	// hangs in a mount is killed.
	LaunchTimeout time.Duration
}

// NewEngine makes an engine whose containers live in the cgroups of run.
// Without one (a user who may make no cgroups), containers have no group and
// can have no limits.
//
// As root it makes this process undumpable (PR_SET_DUMPABLE): until its execve
// a child shares our memory, and some of them have by then no more privileges
// than containers that could look into them.
func NewEngine(run *cgroup.Run) (*Engine, error) {
	return newEngine(run, launch.MissingFeatures())
}

// newEngine makes an engine that does without some features.
func newEngine(run *cgroup.Run, missing launch.Features) (*Engine, error) {
	if os.Getuid() == 0 {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("close our memory to others: %w", err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("standard files of containers: %w", err)
	}
	e := &Engine{run: run, null: null, bare: -1, LaunchTimeout: 30 * time.Second}
	e.launcher.Missing = missing
	if run != nil {
		if e.bare, err = e.openGroup(run.Bare().Join()); err != nil {
			return nil, errors.Join(err, null.Close())
		}
	}
	return e, nil
}

// Missing is what this host's kernel lacks: see launch.KnownFeatures for what
// the engine does instead.
func (e *Engine) Missing() launch.Features { return e.launcher.Missing }

// openGroup opens the directory that a child is born in, -1 where that is
// not possible: there it writes itself into the group's files.
func (e *Engine) openGroup(join cgroup.Join) (int, error) {
	if join.Unified == "" || e.Missing().Has(launch.IntoCgroup) {
		return -1, nil
	}
	fd, err := unix.Open(join.Unified, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open cgroup %s: %w", join.Unified, err)
	}
	return fd, nil
}

// Close gives back what the engine holds; its containers are removed by then.
func (e *Engine) Close() error {
	var errs []error
	if e.keeper != nil {
		errs = append(errs, e.keeper.Remove(context.Background()))
	}
	errs = append(errs, e.launcher.Close(), e.null.Close())
	if e.bare >= 0 {
		errs = append(errs, unix.Close(e.bare))
	}
	return errors.Join(errs...)
}

// Keep starts a program that stays, until Close, in the run's group of bare
// processes: it has to wait, as pause(2) does. The kernel forgets the set of
// groups that nobody is in, and a start after some quiet would pay 90 µs to
// have it made again (css_set in kernel/cgroup/cgroup.c).
func (e *Engine) Keep(spec Spec) error {
	spec.DieWithParent, spec.NewGroup = true, true
	c, err := e.Create(spec)
	if err != nil {
		return err
	}
	if err := c.Start(context.Background()); err != nil {
		return fmt.Errorf("process that keeps the group of bare processes: %w", err)
	}
	e.keeper = c
	return nil
}

// Strays lists the processes in the run's group of bare processes, less the
// one that keeps it: between trials, what a runtime has left behind.
func (e *Engine) Strays() ([]int, error) {
	if e.run == nil {
		return nil, nil
	}
	pids, err := e.run.Bare().PIDs()
	return slices.DeleteFunc(pids, func(pid int) bool { return e.keeper != nil && pid == e.keeper.PID() }), err
}

// Container is a Spec that was given a cgroup, and then perhaps started.
type Container struct {
	engine *Engine
	spec   Spec
	group  *cgroup.Group // of its own; nil when it runs in the run's group of bare processes
	join   cgroup.Join
	proc   *launch.Process
	frozen atomic.Bool

	mu    sync.Mutex
	execs []*launch.Process
}

// Create checks the spec and makes the container's cgroup.
func (e *Engine) Create(spec Spec) (*Container, error) {
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("container spec: %w", err)
	}
	if err := spec.adapt(e.Missing()); err != nil {
		return nil, fmt.Errorf("container spec: %w", err)
	}
	spec.keepMountFlags()
	c := &Container{engine: e, spec: spec}
	if e.run == nil {
		if spec.Group != "" {
			return nil, fmt.Errorf("container %s: limits need a cgroup, and this user may not make one (run as root, or in a delegated scope: systemd-run --user --scope -p Delegate=yes)", spec.Group)
		}
		return c, nil
	}
	if spec.Group == "" {
		c.join = e.run.Bare().Join()
		return c, nil
	}
	group, err := e.run.Create(spec.Group, spec.Limits, spec.Account...)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.Group, err)
	}
	c.group, c.join = group, group.Join()
	return c, nil
}

// Start runs the container's program, up to its execve. Its parent-death
// signal comes from the calling thread: with Spec.DieWithParent, the caller
// locks its goroutine to a thread that lives as long as the container.
func (c *Container) Start(ctx context.Context) error {
	requested := launch.Now()
	if c.proc != nil {
		return errors.New("start: the container was started before")
	}
	program, _ := c.engine.programs.Get().(*launch.Program)
	if program == nil {
		program = &launch.Program{}
	}
	defer c.engine.programs.Put(program)
	files := c.engine.files(c.spec.Stdin, c.spec.Stdout, c.spec.Stderr)
	compile(program, &c.spec, files, c.join, c.engine.Missing())
	proc, err := c.launch(ctx, requested, program)
	if err != nil {
		return err
	}
	c.proc = proc
	return nil
}

// launch runs a program whose child is born in the container's cgroup.
func (c *Container) launch(ctx context.Context, requested int64, program *launch.Program) (*launch.Process, error) {
	program.Group = c.engine.bare
	if c.group != nil {
		fd, err := c.engine.openGroup(c.join)
		if err != nil {
			return nil, err
		}
		if fd >= 0 {
			defer unix.Close(fd)
		}
		program.Group = fd
	}
	// Making a timer may wake a thread that then competes with the child: a
	// context that ends in time needs none.
	if _, ends := ctx.Deadline(); !ends && c.engine.LaunchTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.engine.LaunchTimeout, fmt.Errorf("not started within %s", c.engine.LaunchTimeout))
		defer cancel()
	}
	proc, err := c.engine.launcher.Start(ctx, program)
	if err != nil {
		return nil, c.explain(err)
	}
	proc.Phases[0].Begin = proc.Requested
	proc.Phases = append([]launch.Phase{{Name: "compile", Begin: requested}}, proc.Phases...)
	proc.Requested = requested
	return proc, nil
}

// explain adds to a launch error what the container's cgroup knows of it: a
// small memory limit shows as ENOMEM, or worse, from calls that do not
// sound like memory.
func (c *Container) explain(err error) error {
	if c.group == nil {
		return err
	}
	usage, readErr := c.group.Usage()
	if readErr != nil {
		return fmt.Errorf("%w (and its cgroup cannot be read: %w)", err, readErr)
	}
	switch {
	case usage.Memory.AtLimit.Value > 0 || usage.Memory.OOMKills.Value > 0:
		return fmt.Errorf("%w (the memory limit of %d bytes was reached while starting: raise it)", err, c.spec.Limits.Memory)
	case usage.PIDs.Refused.Value > 0:
		return fmt.Errorf("%w (the limit of %d pids was reached while starting: raise it)", err, c.spec.Limits.PIDs)
	}
	return err
}

// files gives the descriptors of standard input, output and error, of which
// nil stands for /dev/null.
func (e *Engine) files(standard ...*os.File) [3]int {
	var fds [3]int
	for i, f := range standard {
		if f == nil {
			f = e.null
		}
		fds[i] = int(f.Fd())
	}
	return fds
}
