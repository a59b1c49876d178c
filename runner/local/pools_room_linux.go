package local

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// roomy is as much as a trial of the built-in profiles may write: a work
// directory that has less has to be made room in first. Of a small disk it is a
// quarter.
const roomy = 8 << 30

// makeRoom takes away pools that were not asked for longest until there is room
// in the work directory for a trial: a profile may have more of them than fit on
// its disk, and what other programs have there is not to be filled up.
func (p *pools) makeRoom(d *workDir) error {
	for {
		free, size, err := d.room()
		if err != nil || free >= min(roomy, size/4) {
			return err
		}
		if !p.closeOldest(func(key poolKey, made *pool) bool { return key.dir == d.path && made.slice == nil }) {
			return nil
		}
	}
}

// room is that of the disk that a work directory is on, in bytes.
func (d *workDir) room() (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.base, &st); err != nil {
		return 0, 0, fmt.Errorf("room in %s: %w", d.base, err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// closeOldest takes away the pool, of those that will do, that was not asked
// for longest; it is built anew when it is again.
//
// One that does not go at once is no failure of the trial that wants its room:
// others on the host hold its mount for a moment, with every mount namespace that
// they make.
func (p *pools) closeOldest(will func(poolKey, *pool) bool) (closed bool) {
	var oldest poolKey
	for key, made := range p.open {
		if made.Pool != nil && will(key, made) && (p.open[oldest] == nil || made.used < p.open[oldest].used) {
			oldest = key
		}
	}
	made := p.open[oldest]
	if made == nil {
		return false
	}
	delete(p.open, oldest)
	if made.close() != nil {
		p.stuck = append(p.stuck, made)
	}
	return true
}

// scant is what a work directory has to have left for nobody to think of it when
// something fails.
const scant = 64 << 20

// explain says when a work directory has no room left: the pools on it grow as
// they are written to, and who writes to a loop device hears of an I/O error.
func (d *workDir) explain(err error) error {
	if err == nil {
		return nil
	}
	free, _, statErr := d.room()
	if statErr != nil || free >= scant {
		return err
	}
	return fmt.Errorf("%w; %s has %d bytes left, and storages grow there as they are written to (choose another --work-dir)", err, d.path, free)
}

// failed takes a pool away whose ground has failed under it: that it is full may
// be why others fail, and what is done to it next would fail less clearly.
func (p *pools) failed(d *workDir, storage, name string, err error) error {
	made := p.open[poolKey{d.path, storage, name}]
	if made == nil || made.Pool == nil || !slices.ContainsFunc(groundErrors, func(e unix.Errno) bool { return errors.Is(err, e) }) {
		return err
	}
	err = d.explain(fmt.Errorf("%w; what %s stands on is full, gone or damaged (dmesg says more)", err, storage))
	made.err = fmt.Errorf("given up after an earlier failure: %w", err)
	return errors.Join(err, made.close())
}

// groundErrors are what a device or a file system answers that is full, gone or
// damaged: the last two are for wrong checksums and wrong structures.
var groundErrors = []unix.Errno{unix.ENOSPC, unix.EIO, unix.EROFS, unix.ENODEV, unix.ENXIO, unix.ENOTCONN, unix.ECONNABORTED, unix.EBADMSG, unix.EUCLEAN}
