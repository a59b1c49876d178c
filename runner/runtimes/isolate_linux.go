package runtimes

import (
	"context"
	"errors"
	"os"
	"syscall"

	"plimsoll/isolate"
	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
)

// isolated starts the program in a container of package isolate: the floor.
type isolated struct {
	engine   *isolate.Engine
	networks map[string]*network.Net
}

func (isolated) Name() string { return "isolate" }

func (r isolated) Probe(ctx context.Context, image Image) (Info, error) {
	info := Info{Version: "built in", MountsRoot: true, Limits: true, Networks: true, Rungs: true, Container: true}
	err := try(ctx, r, image, Instance{Rung: "full", Network: "none"})
	if errors.Is(err, syscall.EPERM) && os.Getuid() != 0 {
		return info, &Missing{Reason: err.Error(), Fix: "run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1"}
	}
	return info, err
}

func (r isolated) Create(_ context.Context, i Instance) (Container, error) {
	spec := isolate.Spec{
		Path: i.Path, Args: i.Args, Env: i.Env, Stdout: i.Stdout, Stderr: i.Stderr,
		Limits: i.Limits, NewSession: true, DieWithParent: true,
	}
	r.addRung(&spec, i)
	if os.Getuid() != 0 {
		mapSelf(&spec)
	}
	if rungs[i.Rung].hardened {
		var err error
		if spec, err = isolate.Hardened(spec); err != nil {
			return nil, err
		}
	}
	if os.Getuid() == 0 && spec.Limits.Any() {
		spec.Group = i.ID
	}
	begin := launch.Now()
	c, err := r.engine.Create(spec)
	if err != nil {
		return nil, err
	}
	return &ours{Container: c, created: since(begin)}, nil
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

// mapSelf makes an ordinary user root of a user namespace with one id, all
// that can be mapped without help.
func mapSelf(s *isolate.Spec) {
	s.Namespaces |= isolate.UserNS
	s.UIDMap = []isolate.IDMap{{Container: 0, Host: uint32(os.Getuid()), Size: 1}}
	s.GIDMap = []isolate.IDMap{{Container: 0, Host: uint32(os.Getgid()), Size: 1}}
	s.DenySetgroups, s.CopyMemory = true, true
	if s.Root != nil && s.Root.Overlay != nil {
		overlay := *s.Root.Overlay
		overlay.UserXattr = true
		s.Root.Overlay = &overlay
	}
	s.Capabilities = nil
}
