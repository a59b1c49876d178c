package storagebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"

	"plimsoll/storagebench/dm"
)

// removeDM removes all devices whose name and uuid begin so, volumes before
// the pool they are of, with what is mounted from them. What somebody still has
// open is taken from him: see [dm.Control.Drop].
func removeDM(ctx context.Context, c *dm.Control, name, uuid string) error {
	devices, err := detached(c, name, uuid)
	if err != nil {
		return err
	}
	if devices, err = removeAll(ctx, c, devices, patience); err != nil || len(devices) == 0 {
		return err
	}
	// Only volumes can have users other than devices of ours.
	for _, d := range devices {
		if status, err := c.Status(d.name); err != nil || len(status) > 0 && status[0].Type != "thin" {
			continue
		}
		if err := c.Drop(d.name); err != nil {
			return err
		}
	}
	if devices, err = removeAll(ctx, c, devices, time.Second); err != nil || len(devices) == 0 {
		return err
	}
	var names []string
	for _, d := range devices {
		names = append(names, d.name)
	}
	return fmt.Errorf("device mapper: still open, and gone when they are closed: %s", strings.Join(names, ", "))
}

type dmDevice struct {
	name string
	info dm.Info
}

// detached gives the devices once nothing is mounted from them. One that a
// killed program had suspended runs first: unmounting writes.
func detached(c *dm.Control, name, uuid string) ([]dmDevice, error) {
	devices, err := matching(c, name, uuid)
	if err != nil {
		return nil, err
	}
	for _, d := range devices {
		if d.info.Suspended && d.info.Table {
			if err := c.Resume(d.name); err != nil && !errors.Is(err, unix.ENXIO) {
				return nil, err
			}
		}
	}
	return devices, unmountAll(devices)
}

// matching: what follows the name begins with no dash, which would be part of a
// longer name (of a volume group: two dashes stand for one).
func matching(c *dm.Control, name, uuid string) ([]dmDevice, error) {
	names, err := c.List()
	if err != nil {
		return nil, err
	}
	var all []dmDevice
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, name); !ok || strings.HasPrefix(rest, "-") {
			continue
		}
		i, err := c.Info(n)
		if errors.Is(err, unix.ENXIO) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(i.UUID, uuid) {
			all = append(all, dmDevice{n, i})
		}
	}
	return all, nil
}

// removeAll tries again and again, since devices stand on one another, until
// all are gone or none goes for as long as patience. It gives what is left.
func removeAll(ctx context.Context, c *dm.Control, devices []dmDevice, patience time.Duration) ([]dmDevice, error) {
	end := time.Now().Add(patience)
	for {
		var left []dmDevice
		for _, d := range devices {
			err := c.Remove(ctx, d.name, 0)
			if errors.Is(err, unix.EBUSY) {
				left = append(left, d)
			} else if err != nil {
				return devices, err
			}
		}
		if len(left) < len(devices) {
			end = time.Now().Add(patience)
		} else if len(left) == 0 || time.Now().After(end) {
			return left, nil
		} else {
			time.Sleep(5 * time.Millisecond)
		}
		devices = left
	}
}

// unmountAll unmounts what is mounted from the devices, in use or not.
func unmountAll(devices []dmDevice) error {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !slices.ContainsFunc(devices, func(d dmDevice) bool {
			return int(d.info.Major) == m.Major && int(d.info.Minor) == m.Minor
		}), false
	})
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		// Gone with the one it was below.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
		}
	}
	return nil
}
