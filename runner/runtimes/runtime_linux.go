package runtimes

import (
	"context"
	"os"
	"time"

	"plimsoll/isolate"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// Runtime makes containers.
type Runtime interface {
	Name() string

	// Probe finds out whether the runtime works on this host, by starting and
	// removing a container whose root is the image. The error is a *Missing.
	Probe(ctx context.Context, image Image) (Info, error)

	// Create prepares an instance, as far as that is not part of its start.
	Create(ctx context.Context, i Instance) (Container, error)
}

// Container is an instance under way. Its process keeps to the thread that
// called Start: when that thread ends, so does the container.
type Container interface {
	Start(ctx context.Context) error

	// Wait blocks until the runtime reports the exit; when ctx ends, the
	// container is killed.
	Wait(ctx context.Context) (launch.Exit, error)

	// Stop asks the program to end, and kills it after the grace.
	Stop(ctx context.Context, grace time.Duration) (launch.Exit, error)

	// Remove takes away what is left of it, running or not.
	Remove(ctx context.Context) error

	// Lifecycle is nil where Info.Lifecycle is false.
	Lifecycle() Lifecycle

	PIDs() []int // of its processes that the harness knows, in the host's numbering

	Timing() Timing

	// Usage is what the instance's cgroup has counted; readings are unknown
	// where the instance has none of its own.
	Usage() (cgroup.Usage, error)
}

// Lifecycle is what can be done to a container that runs.
type Lifecycle interface {
	// Exec runs a further program of the container's root in it, to its end.
	Exec(ctx context.Context, path string, args ...string) error

	// Freeze stops all its processes, until Thaw.
	Freeze(ctx context.Context) error
	Thaw(ctx context.Context) error

	// Restart stops it and starts it afresh.
	Restart(ctx context.Context, grace time.Duration) error
}

// Timing is what the harness saw of a start.
type Timing struct {
	Requested int64          // CLOCK_MONOTONIC just before the request, nanoseconds
	Phases    []launch.Phase // of the runtime's own launch; nil where it does not tell
	Created   time.Duration  // spent on making the cgroup, before the request; 0 where that is part of the start
	Joined    time.Duration  // spent on making its network, before the request; 0 where that is part of the start
}

// Image is a directory that containers have as their root, read-only to them
// all: it holds the probe and the workload program.
type Image struct {
	Dir   string
	Probe string // path of the probe inside it, from "/"
}

// Instance is one container to be made.
type Instance struct {
	ID   string // unique in the run; names its cgroup
	Dir  string // scratch directory of its own, empty
	Hold bool   // it stays up until it is stopped, one of many

	// Lifecycle prepares it for what Container.Lifecycle gives: it has a
	// cgroup also without limits.
	Lifecycle bool

	Path   string // of the program inside the root, absolute
	Args   []string
	Env    []string
	Stdout *os.File
	Stderr *os.File

	// Image is where the host finds what the container has as its root: a
	// bare process runs Image + Path, in the directory Data.
	Image string
	Root  isolate.Root
	Data  string // host directory mounted on /data; "" where the root itself holds /data
	Work  string // host directory that a bare process works in

	Rung    string // how much of a container to build, for runtimes that have rungs
	Limits  cgroup.Limits
	Network string // "host", "none", or one of Place.Networks
}

// Info says what a runtime is and can do.
type Info struct {
	Path    string // of its executable; "" when it is part of this program
	Version string
	Note    string // what a user should know of how it runs here; "" where nothing

	MountsRoot bool // makes an overlay itself; otherwise the root is mounted for it beforehand
	Limits     bool // can limit resources
	Networks   bool // can be put on the run's own networks
	Rungs      bool // can build less than a whole container
	Lifecycle  bool // its containers can be entered, frozen and restarted
	Container  bool // has a root of its own: a bare process has not
}

// Missing says why a runtime cannot be used, and how to get it.
type Missing struct{ Reason, Fix string }

func (m *Missing) Error() string {
	if m.Fix == "" {
		return m.Reason
	}
	return m.Reason + " (fix: " + m.Fix + ")"
}
