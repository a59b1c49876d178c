package dm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Add makes a device that runs, and nothing where it gives an error.
func (c *Control) Add(name, uuid string, table ...Target) (Info, error) {
	i, err := c.Create(name, uuid)
	if err != nil {
		return i, err
	}
	if err = c.Load(name, table...); err == nil {
		err = c.Resume(name)
	}
	if err != nil {
		return i, errors.Join(err, c.remove(name, 0))
	}
	return i, nil
}

// Remove takes a device away; one that is gone is no error. udev and blkid open
// devices for moments, so EBUSY is asked again, for as long as patience.
func (c *Control) Remove(ctx context.Context, name string, patience time.Duration) error {
	end := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := c.remove(name, 0)
		switch {
		case errors.Is(err, unix.ENXIO):
			return nil
		case !errors.Is(err, unix.EBUSY) || time.Now().After(end):
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// Drop takes a device away from whoever has it open: its table becomes one that
// answers everything with EIO, so that what lay below is free at once, and the
// device goes when the last one closes it.
func (c *Control) Drop(name string) error {
	i, err := c.Info(name)
	if errors.Is(err, unix.ENXIO) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := c.size(name)
	if err != nil {
		return err
	}
	if size > 0 { // else it never had a table
		if err := c.Load(name, Target{Length: size, Type: "error"}); err != nil {
			return err
		}
		// Neither writing back nor a quiet file system is waited for: the
		// device below may be gone.
		const now = unix.DM_SUSPEND_FLAG | unix.DM_NOFLUSH_FLAG | unix.DM_SKIP_LOCKFS_FLAG
		if _, _, err := c.call(unix.DM_DEV_SUSPEND, "suspend", request{name: name, flags: now}); err != nil {
			return err
		}
		if err := c.Resume(name); err != nil {
			return err
		}
	}
	err = c.remove(name, unix.DM_DEFERRED_REMOVE)
	if errors.Is(err, unix.ENXIO) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%w (%d have it open)", err, i.Opens)
	}
	return nil
}

// size is that of the table in use, in sectors.
func (c *Control) size(name string) (sectors uint64, err error) {
	const quick = unix.DM_STATUS_TABLE_FLAG | unix.DM_NOFLUSH_FLAG
	head, data, err := c.call(unix.DM_TABLE_STATUS, "ask table of", request{name: name, flags: quick, room: 4 << 10})
	if err != nil {
		return 0, err
	}
	table, err := parseTable(data, head.Target_count)
	for _, t := range table {
		sectors += t.Length
	}
	return sectors, err
}

func (c *Control) remove(name string, flags uint32) error {
	_, _, err := c.call(unix.DM_DEV_REMOVE, "remove", request{name: name, flags: flags, event: udevLeave})
	return err
}
