package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/isolate"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/network"
	"plimsoll/profiles"
	"plimsoll/runner/workloads/probe"
)

// Place is what runtimes need of the run that they are used in.
type Place struct {
	Engine   *isolate.Engine
	Networks map[string]*network.Net // the run's own, by level
	Dir      string                  // where runtimes keep their state
	Group    string                  // the run's cgroup as a path from the top of a hierarchy
	Run      *cgroup.Run             // the same; nil where there is none
}

// New gives the runtime of that level: a built-in name, or NAME=oci:PATH.
func New(level string, at Place) (Runtime, error) {
	r, err := profiles.ParseRuntime(level)
	if err != nil {
		return nil, err
	}
	switch r.Name {
	case "bare":
		return bare{at.Engine}, nil
	case "isolate":
		var ids isolate.IDs
		if os.Getuid() != 0 {
			ids = isolate.FindIDs()
		}
		return isolated{at.Engine, at.Networks, ids, at.Group != ""}, nil
	case "bwrap":
		return &bwrap{engine: at.Engine}, nil
	}
	path := r.Path
	if path == "" {
		path = r.Name
	}
	return &oci{
		engine: at.Engine, networks: at.Networks, name: r.Name, path: path, state: filepath.Join(at.Dir, "state-"+r.Name), group: at.Group, run: at.Run,
	}, nil
}

// try starts the probe by r and looks whether it ran: what works is usable.
func try(ctx context.Context, r Runtime, image Image, i Instance) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(image.Dir), "try-")
	if err != nil {
		return fmt.Errorf("try %s: %w", r.Name(), err)
	}
	defer os.RemoveAll(dir)
	i.ID, i.Dir = "try-"+r.Name(), dir
	i.Path, i.Args = image.Probe, []string{"exit", "try"}
	i.Image, i.Root = image.Dir, isolate.Root{Path: image.Dir, ReadOnly: true}
	if i.Stdout, err = memfd("stdout"); err != nil {
		return err
	}
	defer i.Stdout.Close()
	if i.Stderr, err = memfd("stderr"); err != nil {
		return err
	}
	defer i.Stderr.Close()

	missing := func(reason string) error {
		return &Missing{Reason: fmt.Sprintf("%s cannot start a container here: %s", r.Name(), strings.TrimSpace(reason))}
	}
	c, err := r.Create(ctx, i)
	if err != nil {
		return missing(err.Error())
	}
	defer func() {
		if removeErr := c.Remove(ctx); err == nil && removeErr != nil {
			err = missing(removeErr.Error())
		}
	}()
	if err := c.Start(ctx); err != nil {
		return missing(err.Error())
	}
	exit, err := c.Wait(ctx)
	if err != nil {
		return missing(err.Error())
	}
	out := make([]byte, 4096)
	n, _ := i.Stdout.ReadAt(out, 0)
	if records, err := probe.ParseRecords(out[:n]); err != nil || len(records) != 1 || !exit.OK() {
		n, _ := i.Stderr.ReadAt(out, 0)
		return missing(fmt.Sprintf("the probe in it ended with %s: %s", exit, out[:n]))
	}
	return nil
}

// memfd is a file in memory: what a container writes to it costs no disk.
func memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
