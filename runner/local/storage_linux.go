package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/isolate"
	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
	"plimsoll/storagebench"
)

// clone is the root file system of one instance.
type clone struct {
	dir     string // all that belongs to it
	root    isolate.Root
	data    string // host directory that is to be mounted on /data; "" where the root is writable
	overlay *isolate.Overlay
	mounted bool // by the harness, for a runtime that does not mount overlays

	pool storagebench.Pool // that it is a clone of; nil for an overlay, a bind mount or the host's root
	id   string            // in the pool
}

// clone gives an instance of the trial a root of its own, by the storage of
// its cell.
func (t *trial) clone(ctx context.Context, id, dir string) (*clone, error) {
	if !isBackend(t.key.Storage) {
		return makeClone(t.key.Storage, dir, t.dir.image, t.runtime.info.MountsRoot)
	}
	pool, err := t.executor.pools.containers(ctx, t.dir, t.key.Storage)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("clone the image (%s): %w", t.key.Storage, err)
	}
	root, err := pool.Clone(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("clone the image (%s): %w", t.key.Storage, t.dir.explain(err))
	}
	return &clone{dir: dir, root: isolate.Root{Path: root}, pool: pool, id: id}, nil
}

// makeClone gives an instance a root of its own from the image, without a
// pool: an overlay, a bind mount, or the host's.
func makeClone(storage, dir string, image runtimes.Image, mounts bool) (*clone, error) {
	c := &clone{dir: dir, root: isolate.Root{Path: image.Dir, ReadOnly: true}}
	sub := map[string][]string{"bind": {"data"}, "overlay": {"upper", "work", "merged"}, "host": {"data"}}[storage]
	for _, d := range append([]string{""}, sub...) {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("clone the image (%s): %w", storage, err)
		}
	}
	if storage != "overlay" {
		c.data = filepath.Join(dir, "data")
		return c, nil
	}
	c.overlay = &isolate.Overlay{
		Lower: []string{image.Dir}, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"),
		UserXattr: os.Getuid() != 0,
	}
	c.root = isolate.Root{Path: filepath.Join(dir, "merged"), Overlay: c.overlay}
	if mounts {
		return c, nil
	}
	if err := c.mount(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *clone) mount() error {
	options := c.root.Overlay.Options()
	if err := unix.Mount("overlay", c.root.Path, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay on %s: %w (hint: CONFIG_OVERLAY_FS; choose another --work-dir when %s is itself an overlay)", c.root.Path, err, c.dir)
	}
	c.root.Overlay = nil
	c.mounted = true
	return nil
}

func (c *clone) remove() error {
	if c.pool != nil {
		if err := c.pool.Remove(background(), c.id); err != nil {
			return fmt.Errorf("remove a clone: %w", err)
		}
	}
	if c.mounted {
		if err := unix.Unmount(c.root.Path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", c.root.Path, err)
		}
		c.mounted = false
	}
	return os.RemoveAll(c.dir)
}

// workDir is a directory that the user gave, and its level in the factor dir:
// the name of its file system.
type workDir struct {
	path  string // as the profile names it
	level string
	base  string // the run's own directory in it
	image runtimes.Image
}

// defaultWorkDir is on disk on every common distribution, where /tmp may be
// in memory, and survives as long as a run.
const defaultWorkDir = "/var/tmp"

// nameLevels names directories by their file systems, a second ext4 being
// "ext4-2".
func nameLevels(types []string) []string {
	seen := map[string]int{}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = strings.ReplaceAll(t, " ", "_")
		if seen[t]++; seen[t] > 1 {
			names[i] = fmt.Sprintf("%s-%d", names[i], seen[t])
		}
	}
	return names
}

// tryOverlay finds out by doing it whether containers can have an overlay in
// this directory: a mount in a namespace that is gone with its process.
func (e *Executor) tryOverlay(d *workDir) error {
	c, err := makeClone("overlay", filepath.Join(d.base, "try-overlay"), d.image, true)
	if err != nil {
		return err
	}
	defer c.remove()
	runtime := e.runtimes["isolate"]
	if runtime == nil || runtime.missing != nil {
		if err := c.mount(); err != nil {
			return err
		}
		return c.remove()
	}
	run, err := runtime.runtime.Create(background(), runtimes.Instance{
		ID: "try-overlay", Path: d.image.Probe, Args: []string{probe.ModeTrue}, Root: c.root, Rung: "root", Network: "none",
	})
	if err != nil {
		return err
	}
	if err := run.Start(background()); err != nil {
		return err
	}
	return run.Remove(background())
}
