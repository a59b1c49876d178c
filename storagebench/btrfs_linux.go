package storagebench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/btrfs"
	"plimsoll/storagebench/tree"
)

// Btrfs has a subvolume for each layer, a snapshot of that below, and one for
// each clone.
type Btrfs struct{}

func (Btrfs) Info() Info {
	return Info{
		Name:   "btrfs",
		Kind:   Snapshot,
		Help:   "a clone is a snapshot of a btrfs subvolume: extents are shared until they are written to",
		Copies: Extent,
	}
}

// btrfsOnOneDevice keeps metadata once, as every other file system here does;
// twice (DUP) is what mkfs.btrfs(8) does on one device.
var btrfsOnOneDevice = block.FileSystem{
	Type:  "btrfs",
	Make:  []string{"-q", "-f", "-K", "-m", "single", "-d", "single"},
	Flags: unix.MS_NOATIME,
	Data:  "nodiscard",
}

func (b Btrfs) Probe(ctx context.Context, dir string) error {
	return probe(ctx, b, dir, 256<<20)
}

func (b Btrfs) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	o.Place = false // see Info.Places
	g, err := o.ground(ctx, dir, btrfsOnOneDevice)
	if err != nil {
		return nil, missing("btrfs", err)
	}
	p := &btrfsPool{ground: g}
	if p.empty, err = btrfs.Used(g.Dir); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

type btrfsPool struct {
	ground *block.Ground
	empty  int64
	image  string    // the topmost layer's subvolume
	since  tree.Mark // the image is as it will stay

	mu   sync.Mutex
	gone []uint64 // subvolumes that may still have to give back space

	removed time.Time // when the last was removed
}

func (p *btrfsPool) clone(id string) string { return filepath.Join(p.ground.Dir, "clone-"+id) }

func (p *btrfsPool) Import(ctx context.Context, image Image) error {
	if len(image.Layers) == 0 {
		return fmt.Errorf("image %s has no layers", image.Name)
	}
	for i, l := range image.Layers {
		layer := filepath.Join(p.ground.Dir, "layer-"+strconv.Itoa(i))
		var err error
		if i == 0 {
			err = btrfs.Create(layer)
		} else {
			err = btrfs.Snapshot(layer, p.image, false)
		}
		if err != nil {
			return err
		}
		if err := l.unpack(ctx, layer, tree.Apply); err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
		if err := btrfs.Freeze(layer); err != nil {
			return err
		}
		p.image = layer
	}
	if err := btrfs.Sync(p.ground.Dir); err != nil {
		return err
	}
	var err error
	p.since, err = tree.Now()
	return err
}

func (p *btrfsPool) Clone(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	for {
		err := btrfs.Snapshot(p.clone(id), p.image, false)
		if !errors.Is(err, unix.ENOSPC) || !p.recovering() {
			return p.clone(id), err
		}
		if err := btrfs.Sync(p.ground.Dir); err != nil {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// recovery is how long a full file system takes, once something was removed,
// to have room for metadata again: a thread of the kernel's frees whole block
// groups, every half a minute at the latest.
const recovery = 35 * time.Second

func (p *btrfsPool) recovering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.removed) < recovery
}

// Diff freezes the clone in a snapshot, and lets the kernel compare the trees
// of both. What nested subvolumes hold, which a clone's user may make, is in no
// snapshot.
func (p *btrfsPool) Diff(ctx context.Context, id string) (changes []Change, err error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	frozen := filepath.Join(p.ground.Dir, "diff-"+id)
	if err := btrfs.Snapshot(frozen, p.clone(id), true); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.destroy(frozen)) }()
	candidates, err := btrfs.Changed(ctx, frozen, p.image)
	if err != nil {
		return nil, err
	}
	return compareCandidates(ctx, p.image, frozen, candidates, p.since)
}

// compareCandidates is tree.ComparePaths for mechanisms that know files, not
// names: where a candidate has several, one may be all that they say, and a
// walk finds the others.
func compareCandidates(ctx context.Context, image, clone string, candidates []string, since tree.Mark) ([]Change, error) {
	for _, path := range candidates {
		for _, root := range []string{image, clone} {
			var st unix.Stat_t
			err := unix.Lstat(filepath.Join(root, path), &st)
			if err == nil && st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
				return tree.CompareSince(ctx, image, clone, since)
			}
		}
	}
	return tree.ComparePaths(ctx, image, clone, candidates)
}

func (p *btrfsPool) Remove(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	return p.destroy(p.clone(id))
}

func (p *btrfsPool) destroy(path string) error {
	id, err := btrfs.ID(path)
	if err != nil {
		return err
	}
	if err := btrfs.Destroy(path); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.removed = append(p.gone, id), time.Now()
	return nil
}

// Usage waits for the space of what was removed: a thread of the kernel gives
// it back after the next commit.
func (p *btrfsPool) Usage(ctx context.Context) (Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.gone) > 0 {
		if err := btrfs.Sync(p.ground.Dir); err != nil {
			return Usage{}, err
		}
		gone, err := btrfs.Gone(p.ground.Dir, p.gone[0])
		if err != nil {
			return Usage{}, err
		}
		if gone {
			p.gone = p.gone[1:]
			continue
		}
		select {
		case <-ctx.Done():
			return Usage{}, fmt.Errorf("wait for the space of removed clones: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	u, err := usage(p.ground)
	if err != nil {
		return Usage{}, err
	}
	used, err := btrfs.Used(p.ground.Dir)
	u.Used = used - p.empty
	// statfs(2) says that nothing is free where metadata has no room. The thread
	// that gives back the block groups of what was removed comes when it is woken.
	if err == nil && u.Free == 0 {
		err = btrfs.Sync(p.ground.Dir)
	}
	return u, err
}

func (p *btrfsPool) Close() error { return p.ground.Close() }
