package storagebench

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// ground is where a pool in dir stands.
func (o Options) ground(ctx context.Context, dir string, fs block.FileSystem) (*block.Ground, error) {
	if o.Place {
		return block.PlaceGround(dir)
	}
	return block.NewGround(ctx, dir, fs, o.size(), o.Device)
}

func (o Options) size() int64 {
	if o.Size == 0 {
		return DefaultSize
	}
	return o.Size
}

// probe opens a small pool, and closes it.
func probe(ctx context.Context, b Backend, dir string, size int64) error {
	dir, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return err
	}
	pool, err := b.Open(ctx, dir, Options{Size: size})
	if err == nil {
		err = pool.Close()
	}
	return errors.Join(err, os.Remove(dir))
}

// missing turns an error into what the host lacks, where it is about that.
func missing(backend string, err error) error {
	var tool *block.NotFound
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tool):
		m := &Missing{Backend: backend, Reason: tool.Tool + ": not found"}
		if tool.Package != "" {
			m.Fix = "apt-get install " + tool.Package
		}
		return m
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &Missing{Backend: backend, Reason: err.Error(), Fix: "run as root"}
	case errors.Is(err, unix.ENODEV): // mount(2): file system type not configured in the kernel
		return &Missing{Backend: backend, Reason: err.Error()}
	}
	return err
}

// usage is that of a whole ground.
func usage(g *block.Ground) (Usage, error) {
	u, err := g.Usage()
	return Usage{Used: u.Used, Free: u.Free, Written: u.Written, Read: u.Read}, err
}
