package operation

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// FsyncOptions: the zero value is 16 flushes of 4 KiB.
type FsyncOptions struct {
	Times int
	Block int // bytes, a multiple of 512
}

// Fsync overwrites one block of a file in a new clone and flushes it, over and
// over, as a database does with its log.
//
//	fsync  s  writing the block and flushing it: median
func Fsync(ctx context.Context, t Target, o FsyncOptions) (made []Measurement, err error) {
	if o.Times < 1 {
		o.Times = 16
	}
	if o.Block < 1 {
		o.Block = 4096
	}
	err = t.withClone(ctx, "fsync", func(root string) error {
		path := filepath.Join(root, "fsync")
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
		defer unix.Close(fd)
		block := make([]byte, o.Block)
		flush := func(i int) error {
			for at := range block {
				block[at] = byte(at*7 + i) // some file systems do not write what is there already, or zeros
			}
			if _, err := unix.Pwrite(fd, block, 0); err != nil {
				return fmt.Errorf("write %s: %w", path, err)
			}
			if err := unix.Fsync(fd); err != nil {
				return fmt.Errorf("fsync %s: %w", path, err)
			}
			return nil
		}
		// The first also makes the file and its directory last.
		if err := flush(0); err != nil {
			return err
		}
		took := make([]time.Duration, o.Times)
		u, err := t.during(ctx, func() error {
			for i := range took {
				if err := ctx.Err(); err != nil {
					return err
				}
				start := time.Now()
				if err := flush(i + 1); err != nil {
					return err
				}
				took[i] = time.Since(start)
			}
			return nil
		})
		if err != nil {
			return err
		}
		// Without a flush the block would have been written once, in the end.
		flushed := u.written >= int64(o.Times)*int64(o.Block)
		switch {
		case u.written < 0:
		case !t.Info.Forgets && !flushed:
			return fmt.Errorf("%d blocks of %d bytes were flushed, and %d bytes written: an fsync returns before the device has the data", o.Times, o.Block, u.written)
		case t.Info.Forgets && flushed && !t.Shared:
			return fmt.Errorf("%s says that it may forget what was flushed, and %d bytes were written for %d flushes", t.Info.Name, u.written, o.Times)
		}
		made = []Measurement{seconds("fsync", median(took))}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fsync: %w", err)
	}
	return made, nil
}
