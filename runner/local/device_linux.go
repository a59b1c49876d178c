package local

import (
	"context"
	"errors"
	"fmt"

	"plimsoll/profiles"
	"plimsoll/storagebench/block"
	"plimsoll/storagebench/operation"
)

// userDevice is a block device that the profile names, cut into slices of
// equal size: one for each pool.
type userDevice struct {
	claim *block.Claim
	size  int64  // of a slice, in bytes
	taken []bool // slice by slice
}

// slice is the part of the device that a pool stands on.
type slice struct {
	*block.Device
	device *userDevice
	number int
}

// openDevice claims the profile's device.
func openDevice(ctx context.Context, p profiles.Pools, l *ledger) (*userDevice, error) {
	claim, err := block.NewClaim(ctx, p.Device, p.Overwrite)
	if _, ok := errors.AsType[*block.NotEmptyError](err); ok {
		return nil, fmt.Errorf("pools.device: %w, or say that it may be lost: --set pools.overwrite=true", err)
	}
	if err != nil {
		return nil, fmt.Errorf("pools.device: %w", err)
	}
	d := &userDevice{claim: claim, size: max(p.Size, operation.QuirkPoolSize)}
	d.taken = make([]bool, claim.Size()/d.size)
	if len(d.taken) == 0 {
		err = fmt.Errorf("pools.device: %s has %s, and a pool takes %s: take a larger device, or a smaller pools.size, down to %s",
			p.Device, profiles.FormatBytes(claim.Size()), profiles.FormatBytes(d.size), profiles.FormatBytes(operation.QuirkPoolSize))
	} else {
		err = l.add("device", p.Device)
	}
	if err != nil {
		return nil, errors.Join(err, claim.Close())
	}
	return d, nil
}

// slice takes a slice for a pool of size bytes. Where all are taken, the pool
// that was not asked for longest makes room.
func (p *pools) slice(ctx context.Context, size int64) (*slice, error) {
	d := p.device
	number := d.free()
	for number < 0 {
		if !p.closeOldest(func(_ poolKey, made *pool) bool { return made.slice != nil }) {
			return nil, fmt.Errorf("pools.device: all of its %d slices are in use", len(d.taken))
		}
		number = d.free()
	}
	part, err := d.claim.Slice(ctx, int64(number)*d.size, size)
	if err != nil {
		return nil, err
	}
	d.taken[number] = true
	return &slice{part, d, number}, nil
}

func (d *userDevice) free() int {
	for i, taken := range d.taken {
		if !taken {
			return i
		}
	}
	return -1
}

// giveBack wipes what would be taken for a file system, and lets go.
func (s *slice) giveBack() error {
	err := errors.Join(block.Wipe(background(), s.Path), s.Close())
	if err == nil {
		s.device.taken[s.number] = false
	}
	return err
}
