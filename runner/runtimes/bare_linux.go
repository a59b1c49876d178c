package runtimes

import (
	"context"
	"path/filepath"
	"time"

	"plimsoll/isolate"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// bare starts the program with nothing around it, by the same launcher.
type bare struct{ engine *isolate.Engine }

func (bare) Name() string { return "bare" }

func (b bare) Probe(ctx context.Context, image Image) (Info, error) {
	info := Info{Version: "vfork and execve"}
	return info, try(ctx, b, image, Instance{})
}

func (b bare) Create(_ context.Context, i Instance) (Container, error) {
	c, err := b.engine.Create(isolate.Spec{
		Path: filepath.Join(i.Image, i.Path), Args: i.Args, Env: i.Env, Dir: i.Work,
		Stdout: i.Stdout, Stderr: i.Stderr,
		NewGroup: true, DieWithParent: true,
	})
	if err != nil {
		return nil, err
	}
	return &ours{Container: c}, nil
}

// ours is a container of package isolate.
type ours struct {
	*isolate.Container
	created   time.Duration
	lifecycle Lifecycle
}

func (o *ours) Lifecycle() Lifecycle { return o.lifecycle }

func (o *ours) PIDs() []int {
	if pid := o.PID(); pid != 0 {
		return []int{pid}
	}
	return nil
}

func (o *ours) Timing() Timing {
	return Timing{Requested: o.Requested(), Phases: o.Phases(), Created: o.created}
}

func (o *ours) Usage() (cgroup.Usage, error) {
	if !o.HasGroup() {
		return cgroup.Usage{}, nil
	}
	return o.Container.Usage()
}

// nanoseconds between two readings of the launcher's clock.
func since(begin int64) time.Duration { return time.Duration(launch.Now() - begin) }
