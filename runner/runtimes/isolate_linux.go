package runtimes

import (
	"context"
	"fmt"
	"os"
	"time"

	"plimsoll/isolate"
	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
)

// isolated starts the program in a container of package isolate: the floor.
type isolated struct {
	engine   *isolate.Engine
	networks map[string]*network.Net
	ids      isolate.IDs // that an ordinary user may map
	groups   bool        // it may make cgroups
}

func (isolated) Name() string { return "isolate" }

func (r isolated) Probe(ctx context.Context, image Image) (Info, error) {
	info := Info{Version: "built in", MountsRoot: true, Limits: true, Networks: true, Rungs: true, Lifecycle: r.groups, Container: true}
	err := try(ctx, r, image, Instance{Rung: "full", Network: "none"})
	if os.Getuid() == 0 {
		return info, err
	}
	info.Note = r.ids.Note
	if err == nil {
		return info, nil
	}
	if forbidden := userNamespacesForbidden("/"); forbidden != nil {
		return info, &Missing{Reason: fmt.Sprintf("%s (%v)", forbidden.Reason, err), Fix: forbidden.Fix}
	}
	return info, &Missing{Reason: err.Error(), Fix: "run as root"}
}

func (r isolated) Create(_ context.Context, i Instance) (Container, error) {
	spec := isolate.Spec{
		Path: i.Path, Args: i.Args, Env: i.Env, Stdout: i.Stdout, Stderr: i.Stderr,
		Limits: i.Limits, NewSession: true, DieWithParent: true,
	}
	r.addRung(&spec, i)
	if os.Getuid() != 0 {
		spec.Rootless(r.ids)
	}
	if rungs[i.Rung].hardened {
		var err error
		if spec, err = isolate.Hardened(spec); err != nil {
			return nil, err
		}
	}
	if spec.Limits.Any() || i.Lifecycle {
		spec.Group = i.ID
	}
	begin := launch.Now()
	c, err := r.engine.Create(spec)
	if err != nil {
		return nil, err
	}
	l := &life{Container: c, instance: i}
	if spec.Network != nil {
		l.network = r.networks[i.Network]
	}
	return &ours{Container: c, created: since(begin), lifecycle: l}, nil
}

// life is the lifecycle of a container of package isolate.
type life struct {
	*isolate.Container
	instance Instance
	network  *network.Net // the run's own that it is on, or nil
}

func (l *life) Restart(ctx context.Context, grace time.Duration) error {
	if l.network != nil {
		l.Container.Attach(l.network.Attach())
	}
	return l.Container.Restart(ctx, grace)
}

func (l *life) Exec(ctx context.Context, path string, args ...string) error {
	proc, err := l.Container.Exec(ctx, isolate.Exec{
		Path: path, Args: args, Env: l.instance.Env, Stdout: l.instance.Stdout, Stderr: l.instance.Stderr,
		NewSession: true, DieWithParent: true,
	})
	if err != nil {
		return err
	}
	exit, err := proc.Wait()
	if err == nil && !exit.OK() {
		err = fmt.Errorf("exec %s: %s", path, exit)
	}
	return err
}

// rungs is the ladder from namespaces alone to a container as hosts run it: each adds
// to what a start does.
var rungs = map[string]struct {
	namespaces            isolate.Namespaces
	root, whole, hardened bool
}{
	"pid":      {namespaces: isolate.PID},
	"pid+mnt":  {namespaces: isolate.PID | isolate.Mnt},
	"five":     {namespaces: isolate.AllSix &^ isolate.Net},
	"six":      {namespaces: isolate.AllSix},
	"root":     {namespaces: isolate.AllSix, root: true},
	"full":     {namespaces: isolate.AllSix, root: true, whole: true},
	"hardened": {namespaces: isolate.AllSix, root: true, whole: true, hardened: true},
}

func (r isolated) addRung(s *isolate.Spec, i Instance) {
	rung := rungs[i.Rung]
	s.Namespaces = rung.namespaces
	if i.Network == "host" {
		s.Namespaces &^= isolate.Net
	}
	if n := r.networks[i.Network]; n != nil && s.Namespaces.Has(isolate.Net) {
		s.Network = n.Attach()
	}
	if !rung.root {
		s.Path, s.Dir = i.Image+i.Path, i.Work
		return
	}
	root := i.Root
	s.Root, s.Proc, s.Hostname = &root, true, "plimsoll"
	if i.Data != "" {
		s.Mounts = []isolate.Mount{{Source: i.Data, Target: "/data"}}
	}
	if !rung.whole {
		return
	}
	caps := isolate.DockerDefault
	s.Sys, s.Dev, s.NoNewPrivs, s.Capabilities, s.Dir = true, true, true, &caps, "/"
	s.Loopback = s.Namespaces.Has(isolate.Net)
}
