package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"plimsoll/profiles"
	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
)

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
	stuck   []*pool // which did not go when room was to be made
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
	if !p.placed(backend.Info()) {
		return d.explain(backend.Probe(ctx, d.base))
	}
	// Probe tries the backend on a file of its own; here it is to stand on the
	// user's file system.
	dir, err := os.MkdirTemp(d.base, "probe-")
	if err != nil {
		return err
	}
	pool, err := backend.Open(ctx, dir, storagebench.Options{Size: p.profile.Size, Place: true})
	if err == nil {
		err = pool.Close()
	}
	return errors.Join(err, os.Remove(dir))
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
		level := map[string]string{"kind": string(info.Kind), "root": info.Help, "copies": string(info.Copies), "ground": p.ground(info)}
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
func (p *pools) ground(info storagebench.Info) string {
	switch {
	case p.placed(info):
		return "the work directory"
	case p.profile.Device != "":
		return fmt.Sprintf("%s of %s", profiles.FormatBytes(p.profile.Size), p.profile.Device)
	}
	return fmt.Sprintf("a sparse file of %s in the work directory", profiles.FormatBytes(p.profile.Size))
}

// placed reports whether pools of a backend use the work directory as it is.
func (p *pools) placed(info storagebench.Info) bool { return p.profile.Place && info.Places }

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

// build makes an empty pool of size bytes.
func (p *pools) build(ctx context.Context, d *workDir, storage string, size int64) *pool {
	p.made++
	name := fmt.Sprintf("%s%s-%d", dirPrefix, p.run, p.made)
	made := &pool{dir: filepath.Join(d.base, fmt.Sprintf("pool-%d", p.made))}
	backend, ok := storagebench.Find(storage)
	if !ok {
		made.err = fmt.Errorf("storage %q: unknown", storage)
		return made
	}
	o := storagebench.Options{
		Size: size, Place: p.placed(backend.Info()), Name: name,
		Record: func(r storagebench.Resource) error { return p.ledger.add(r.Kind, r.Name) },
	}
	if made.err = os.Mkdir(made.dir, 0o755); made.err != nil {
		return made
	}
	if p.device != nil && !p.placed(backend.Info()) {
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

// close takes the pool away, with its directory. What it could not take away it
// tries to when it is called again.
func (p *pool) close() error {
	if p.Pool != nil {
		if err := p.Pool.Close(); err != nil {
			return err
		}
		p.Pool = nil
	}
	if p.slice != nil {
		if err := p.slice.giveBack(); err != nil {
			return err
		}
		p.slice = nil
	}
	return os.Remove(p.dir)
}

func (p *pools) close() error {
	var errs []error
	for _, made := range p.stuck {
		errs = append(errs, made.close())
	}
	for _, made := range p.open {
		if made.Pool != nil {
			errs = append(errs, made.close())
		}
	}
	clear(p.open)
	p.stuck = nil
	if p.device != nil {
		errs = append(errs, p.device.claim.Close())
		p.device = nil
	}
	return errors.Join(errs...)
}
