package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"plimsoll/profiles"
	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
)

// roomy is as much as a trial of the built-in profiles may write: a work
// directory that has less has to be made room in first. Of a small disk it is an
// eighth.
const roomy = 8 << 30

// makeRoom takes away pools that were not asked for longest until there is room
// in the work directory for another: a profile may have more of them than fit on
// its disk, and what other programs have there is not to be filled up.
func (p *pools) makeRoom(d *workDir) error {
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(d.base, &st); err != nil {
			return fmt.Errorf("room in %s: %w", d.base, err)
		}
		if int64(st.Bavail)*st.Bsize >= min(roomy, int64(st.Blocks)*st.Bsize/8) {
			return nil
		}
		closed, err := p.closeOldest(func(key poolKey, made *pool) bool { return key.dir == d.path && made.slice == nil })
		if err != nil || !closed {
			return err
		}
	}
}

// closeOldest takes away the pool, of those that will do, that was not asked
// for longest; it is built anew when it is again.
func (p *pools) closeOldest(will func(poolKey, *pool) bool) (closed bool, err error) {
	var oldest poolKey
	for key, made := range p.open {
		if made.Pool != nil && will(key, made) && (p.open[oldest] == nil || made.used < p.open[oldest].used) {
			oldest = key
		}
	}
	made := p.open[oldest]
	if made == nil {
		return false, nil
	}
	delete(p.open, oldest)
	return true, made.close()
}

// isBackend reports whether a storage is built as a pool for containers too:
// an overlay of theirs needs none.
func isBackend(storage string) bool {
	return storage != "overlay" && slices.ContainsFunc(profiles.Backends, func(b profiles.Backend) bool { return b.Name == storage })
}

// pools are the storages that a run builds for itself, each when a trial
// first needs it, and kept until the run ends.
type pools struct {
	profile profiles.Pools
	run     string
	ledger  *ledger
	made    int
	asked   int
	user    userImage // where the profile names one
	device  *userDevice
	open    map[poolKey]*pool
}

// poolKey tells pools apart.
type poolKey struct{ dir, storage, image string }

// pool is one that was built, or why it could not be.
type pool struct {
	storagebench.Pool
	dir   string
	slice *slice // of the user's device
	used  int    // when it was asked for last: the number of that request
	err   error
}

func newPools(o Options, l *ledger) *pools {
	return &pools{profile: o.Profile.Pools, run: o.Run, ledger: l, open: map[poolKey]*pool{}}
}

// probe finds out whether a storage can be built in a work directory.
func (p *pools) probe(ctx context.Context, d *workDir, storage string) error {
	backend, ok := storagebench.Find(storage)
	if !ok {
		return nil // host and bind
	}
	return d.explain(backend.Probe(ctx, d.base))
}

// scant is what a work directory has to have left for nobody to think of it when
// something fails.
const scant = 64 << 20

// explain says when a work directory has no room left: the pools on it grow as
// they are written to, and who writes to a loop device hears of an I/O error.
func (d *workDir) explain(err error) error {
	var st unix.Statfs_t
	if err == nil || unix.Statfs(d.base, &st) != nil {
		return err
	}
	left := int64(st.Bfree) * st.Bsize
	if left >= scant {
		return err
	}
	return fmt.Errorf("%w; %s has %d bytes left, and storages grow there as they are written to (choose another --work-dir)", err, d.path, left)
}

// levels says what the names of storages stand for.
func (p *pools) levels(storages []string) map[string]map[string]string {
	levels := map[string]map[string]string{}
	for _, storage := range storages {
		backend, ok := storagebench.Find(storage)
		if !ok {
			continue
		}
		info := backend.Info()
		level := map[string]string{"kind": string(info.Kind), "root": info.Help, "copies": string(info.Copies), "ground": p.ground(info.Kind)}
		if info.Version != "" {
			level["version"] = info.Version
		}
		if info.Forgets {
			level["forgets"] = "clones, when the host crashes"
		}
		levels[storage] = level
	}
	return levels
}

// ground says where the pools stand.
func (p *pools) ground(kind storagebench.Kind) string {
	switch {
	case p.placed(kind):
		return "the work directory"
	case p.profile.Device != "":
		return fmt.Sprintf("%s of %s", profiles.FormatBytes(p.profile.Size), p.profile.Device)
	}
	return fmt.Sprintf("a sparse file of %s in the work directory", profiles.FormatBytes(p.profile.Size))
}

// placed reports whether pools of a kind use the work directory as it is.
func (p *pools) placed(kind storagebench.Kind) bool {
	return p.profile.Place && (kind == storagebench.Union || kind == storagebench.Copy)
}

// containers gives the pool that holds the containers' image.
func (p *pools) containers(ctx context.Context, d *workDir, storage string) (storagebench.Pool, error) {
	return p.get(ctx, d, storage, "", func() (storagebench.Image, error) { return image.Directory(d.image.Dir) })
}

// get gives the pool of a storage in a work directory that holds an image; it
// is built where there is none yet. What failed once is not tried again.
func (p *pools) get(ctx context.Context, d *workDir, storage, name string, find func() (storagebench.Image, error)) (storagebench.Pool, error) {
	key := poolKey{d.path, storage, name}
	made := p.open[key]
	if made == nil {
		if err := p.makeRoom(d); err != nil {
			return nil, err
		}
		made = p.build(ctx, d, storage, p.profile.Size)
		if made.err == nil {
			made.err = made.take(ctx, d, find)
		}
		p.open[key] = made
	}
	if made.err != nil {
		return nil, fmt.Errorf("storage %s: %w", storage, made.err)
	}
	p.asked++
	made.used = p.asked
	return made.Pool, nil
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
var groundErrors = []unix.Errno{unix.ENOSPC, unix.EIO, unix.EROFS, unix.ENODEV, unix.ENXIO, unix.ENOTCONN, unix.EBADMSG, unix.EUCLEAN}

// build makes an empty pool of size bytes.
func (p *pools) build(ctx context.Context, d *workDir, storage string, size int64) *pool {
	p.made++
	name := fmt.Sprintf("%s%s-%d", dirPrefix, p.run, p.made)
	made := &pool{dir: filepath.Join(d.base, fmt.Sprintf("pool-%d", p.made))}
	o := storagebench.Options{
		Size: size, Place: p.profile.Place, Name: name,
		Record: func(r storagebench.Resource) error { return p.ledger.add(r.Kind, r.Name) },
	}
	backend, ok := storagebench.Find(storage)
	if !ok {
		made.err = fmt.Errorf("storage %q: unknown", storage)
		return made
	}
	if made.err = os.Mkdir(made.dir, 0o755); made.err != nil {
		return made
	}
	if p.device != nil && !p.placed(backend.Info().Kind) {
		made.slice, made.err = p.slice(ctx, size)
		if made.err != nil {
			made.err = errors.Join(made.err, os.Remove(made.dir))
			return made
		}
		o.Device = made.slice.Path
	}
	if made.Pool, made.err = backend.Open(ctx, made.dir, o); made.err != nil {
		made.err = errors.Join(d.explain(made.err), made.close())
	}
	return made
}

// take imports the image, and closes the pool where that fails.
func (p *pool) take(ctx context.Context, d *workDir, find func() (storagebench.Image, error)) error {
	image, err := find()
	if err == nil {
		err = p.Import(ctx, image)
	}
	if err != nil {
		return errors.Join(d.explain(err), p.close())
	}
	return nil
}

// close takes the pool away, with its directory.
func (p *pool) close() error {
	var errs []error
	if p.Pool != nil {
		errs = append(errs, p.Pool.Close())
	}
	if p.slice != nil {
		errs = append(errs, p.slice.giveBack())
	}
	p.Pool, p.slice = nil, nil
	return errors.Join(append(errs, os.Remove(p.dir))...)
}

func (p *pools) close() error {
	var errs []error
	for _, made := range p.open {
		if made.Pool != nil {
			errs = append(errs, made.close())
		}
	}
	clear(p.open)
	if p.device != nil {
		errs = append(errs, p.device.claim.Close())
		p.device = nil
	}
	return errors.Join(errs...)
}
