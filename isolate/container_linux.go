package isolate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
)

var errNotStarted = errors.New("the container is not started")

// PID is the process id of the container's first process, as the host sees it;
// 0 before Start.
func (c *Container) PID() int {
	if c.proc == nil {
		return 0
	}
	return c.proc.PID
}

// Requested is when Start was called: CLOCK_MONOTONIC, nanoseconds. Phases is
// what the start was spent on from then, up to the execve. Both are zero
// before Start.
func (c *Container) Requested() int64 {
	if c.proc == nil {
		return 0
	}
	return c.proc.Requested
}

// Phases: see Requested.
func (c *Container) Phases() []launch.Phase {
	if c.proc == nil {
		return nil
	}
	return c.proc.Phases
}

// Wait blocks the calling thread until the container's first process has
// ended, and reaps it. When ctx ends before, the container is killed.
func (c *Container) Wait(ctx context.Context) (launch.Exit, error) {
	if c.proc == nil {
		return launch.Exit{}, errNotStarted
	}
	stop := context.AfterFunc(ctx, func() { c.kill() })
	exit, err := c.proc.Wait()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	return exit, err
}

// Signal sends sig to the container's first process.
func (c *Container) Signal(sig syscall.Signal) error {
	if c.proc == nil {
		return errNotStarted
	}
	return c.proc.Signal(sig)
}

// Stop asks the container to end by SIGTERM, and kills it when it has not
// within the grace. A frozen container is thawed for it.
func (c *Container) Stop(ctx context.Context, grace time.Duration) (launch.Exit, error) {
	if c.frozen.Load() {
		if err := c.Thaw(ctx); err != nil {
			return launch.Exit{}, err
		}
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		return launch.Exit{}, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		grace = min(grace, time.Until(deadline))
	}
	exit, ended, err := c.proc.WaitFor(grace)
	if ended || err != nil {
		return exit, err
	}
	if err := c.kill(); err != nil {
		return launch.Exit{}, err
	}
	return c.proc.Wait()
}

// kill ends the first process.
func (c *Container) kill() error { return c.proc.Signal(syscall.SIGKILL) }

// HasGroup reports whether the container has a cgroup of its own, as Freeze,
// Thaw and Usage need.
func (c *Container) HasGroup() bool { return c.group != nil }

// Freeze stops every process of the container until Thaw.
func (c *Container) Freeze(ctx context.Context) error {
	group, err := c.ownGroup("freeze")
	if err != nil {
		return err
	}
	err = group.Freeze(ctx)
	c.frozen.Store(err == nil)
	return err
}

// Thaw undoes Freeze.
func (c *Container) Thaw(ctx context.Context) error {
	group, err := c.ownGroup("thaw")
	if err != nil {
		return err
	}
	err = group.Thaw(ctx)
	if err == nil {
		c.frozen.Store(false)
	}
	return err
}

// Usage is what the container's cgroup has counted.
func (c *Container) Usage() (cgroup.Usage, error) {
	group, err := c.ownGroup("usage")
	if err != nil {
		return cgroup.Usage{}, err
	}
	return group.Usage()
}

func (c *Container) ownGroup(what string) (*cgroup.Group, error) {
	if c.group == nil {
		return nil, fmt.Errorf("%s: the container has no cgroup of its own (Spec.Group)", what)
	}
	return c.group, nil
}

// Attach gives the container another attachment to its bridge: each is for one
// start.
func (c *Container) Attach(a *network.Attachment) { c.spec.Network = a }

// Restart stops the container, and starts the same Spec in the same cgroup
// and on the same root, with fresh namespaces and a fresh first process.
func (c *Container) Restart(ctx context.Context, grace time.Duration) error {
	if _, err := c.Stop(ctx, grace); err != nil {
		return fmt.Errorf("restart container %s: %w", c.spec.Group, err)
	}
	if err := c.end(ctx); err != nil {
		return fmt.Errorf("restart container %s: %w", c.spec.Group, err)
	}
	c.proc, c.execs, c.join = nil, nil, c.currentJoin()
	c.frozen.Store(false)
	return c.Start(ctx)
}

// end kills what still runs and reaps what was started.
func (c *Container) end(ctx context.Context) error {
	var errs []error
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.execs)
	if c.proc != nil {
		all = append(all, c.proc) // the last: it ends when the others are reaped
	}
	for _, p := range all {
		errs = append(errs, p.Signal(syscall.SIGKILL))
	}
	if c.group != nil {
		// All that the first process left behind, and the first if it is
		// frozen: on v1 a signal alone would wait for it to thaw.
		errs = append(errs, c.group.Kill(ctx))
	}
	for _, p := range all {
		_, err := p.Wait()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// reaped says that nothing is left of the processes that we started.
func (c *Container) reaped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := func(p *launch.Process) bool { return !p.Reaped() }
	return (c.proc == nil || c.proc.Reaped()) && !slices.ContainsFunc(c.execs, running)
}

// currentJoin is the way into the container's cgroup now: on v1, Freeze may
// have added the freezer's.
func (c *Container) currentJoin() cgroup.Join {
	if c.group == nil {
		return c.join
	}
	return c.group.Join()
}

// Remove kills what still runs, reaps it and removes the cgroup. It finishes
// also when ctx has ended: what is half removed is worse.
func (c *Container) Remove(ctx context.Context) error {
	if c.reaped() && (c.group == nil || c.group.RemoveIdle()) {
		return nil // without a timer, and a look into the group
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := c.end(ctx)
	if c.group != nil {
		err = errors.Join(err, c.group.Remove(ctx))
	}
	if err != nil {
		return fmt.Errorf("remove container %s: %w", c.spec.Group, err)
	}
	return nil
}
