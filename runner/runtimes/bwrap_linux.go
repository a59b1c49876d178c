package runtimes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"plimsoll/isolate"
)

// bwrap is bubblewrap: unprivileged sandboxes, as Flatpak starts them. It has
// no limits.
type bwrap struct {
	engine *isolate.Engine
	path   string
}

func (*bwrap) Name() string { return "bwrap" }

func (b *bwrap) Probe(ctx context.Context, image Image) (Info, error) {
	info := Info{Container: true}
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return info, &Missing{Reason: "bwrap: not found in PATH", Fix: "apt-get install bubblewrap"}
	}
	if info.Path, err = filepath.Abs(path); err != nil {
		return info, err
	}
	b.path = info.Path
	if info.Version, err = version(ctx, path); err != nil {
		return info, err
	}
	return info, try(ctx, b, image, Instance{Network: "none"})
}

func (b *bwrap) Create(_ context.Context, i Instance) (Container, error) {
	bind := "--bind"
	if i.Root.ReadOnly {
		bind = "--ro-bind"
	}
	args := []string{"--unshare-all", "--die-with-parent", "--hostname", "plimsoll", bind, i.Root.Path, "/", "--proc", "/proc", "--dev", "/dev"}
	if i.Network == "host" {
		args = append(args, "--share-net")
	}
	if i.Data != "" {
		args = append(args, "--bind", i.Data, "/data")
	}
	c, err := b.engine.Create(isolate.Spec{
		Path: b.path, Args: append(append(args, i.Path), i.Args...), Env: append(os.Environ(), i.Env...),
		Stdout: i.Stdout, Stderr: i.Stderr, NewGroup: true, DieWithParent: true,
	})
	if err != nil {
		return nil, err
	}
	return &ours{Container: c}, nil
}
