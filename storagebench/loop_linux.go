package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// Loop keeps a file system in a file, and gives each clone a copy of that file
// on a loop device. The copy is a reflink where the file is on a file system
// that has them, which it makes for itself on xfs.
type Loop struct {
	name   string
	fs     block.FileSystem
	clones string // options for a file system that is mounted already, under the same UUID
}

var (
	LoopExt4 = Loop{name: "loop-ext4", fs: block.Ext4, clones: block.Ext4.Data}
	LoopXFS  = Loop{name: "loop-xfs", fs: xfsInAFile, clones: "nouuid"}
)

// xfsInAFile has sectors of 4096 bytes, as the loop device of a clone has them
// if its file shares extents: direct I/O to such a file must be of whole
// blocks (statx(2), STATX_DIOALIGN).
var xfsInAFile = block.FileSystem{
	Type:  "xfs",
	Make:  append([]string{"-s", "size=4096"}, xfsReflinking.Make...),
	Flags: xfsReflinking.Flags,
	Late:  true,
}

func (b Loop) Info() Info {
	return Info{
		Name:   b.name,
		Kind:   Block,
		Help:   "a clone is a file with an " + b.fs.Type + " image on a loop device; a reflink of the image's file where possible, else a copy",
		Copies: Extent,
		Places: true,
	}
}

func (b Loop) Probe(ctx context.Context, dir string) error {
	return probe(ctx, b, dir, 2*smallestXFS)
}

// Open stands on xfs, so that files can share extents; on ext4, where they
// cannot, if the host has no xfs.
func (b Loop) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	if _, err := block.Find("mkfs." + b.fs.Type); err != nil {
		return nil, missing(b.name, err)
	}
	g, err := o.ground(ctx, dir, xfsReflinking)
	var lack *Missing
	if errors.As(missing(b.name, err), &lack) {
		g, err = o.ground(ctx, dir, block.Ext4)
	}
	if err != nil {
		return nil, missing(b.name, err)
	}
	p := &loopPool{backend: b, ground: g, share: reflink, clones: map[string]*block.Device{}}
	if canReflink(g.Dir) != nil {
		p.share = tree.Contents
	}
	if err := p.makeImage(ctx, o.size()/2); err != nil {
		return nil, errors.Join(missing(b.name, err), p.Close())
	}
	return p, nil
}

// makeImage makes the image's file system, empty: what that takes counts as
// little as the ground's does. It is smaller than the ground, so that a clone
// that is filled finds itself full, and not a device that does not write.
func (p *loopPool) makeImage(ctx context.Context, size int64) error {
	var err error
	if p.image, err = block.Loop(ctx, p.file("image"), size); err != nil {
		return err
	}
	if err := block.Mkfs(ctx, p.backend.fs.Type, p.image.Path, p.backend.fs.Make...); err != nil {
		return err
	}
	if err := os.Mkdir(p.root("image"), 0o755); err != nil {
		return err
	}
	if err := p.mountImage(0); err != nil {
		return err
	}
	u, err := p.Usage(ctx)
	p.empty = u.Used
	return err
}

func (p *loopPool) mountImage(flags uintptr) error {
	fs := p.backend.fs
	return block.Mount(p.image.Path, p.root("image"), fs.Type, fs.Flags|flags, fs.Data)
}

type loopPool struct {
	backend Loop
	ground  *block.Ground
	empty   int64 // bytes that an image without files takes
	share   func(to, from *os.File, size int64) error
	since   tree.Mark // the image is as it will stay

	made atomic.Int64 // clones, ever

	mu      sync.Mutex
	image   *block.Device
	clones  map[string]*block.Device
	removed []*block.Device // which may still be in use
}

// root is where a device is mounted, and its file is beside it.
func (p *loopPool) root(name string) string { return filepath.Join(p.ground.Dir, name) }
func (p *loopPool) file(name string) string { return p.root(name) + ".img" }

// Import unmounts the image, as clones are copies of what is on its device: all
// of it, and at rest. For comparisons it is mounted again, and is not written to.
func (p *loopPool) Import(ctx context.Context, image Image) error {
	if err := image.Unpack(ctx, p.root("image")); err != nil {
		return err
	}
	var err error
	if p.since, err = tree.Now(); err != nil {
		return err
	}
	if err := block.Unmount(p.root("image")); err != nil {
		return err
	}
	return p.mountImage(unix.MS_RDONLY)
}

func (p *loopPool) Clone(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	name := "clone-" + id
	// The directory is what reserves the name: it is there until the clone is
	// removed, and another's is not to be taken away.
	if err := os.Mkdir(p.root(name), 0o755); err != nil {
		return "", fmt.Errorf("clone %s: %w", id, err)
	}
	// The file has a name that none had before: the device of a clone of this id
	// that was removed may live on for a while, and is known by its file.
	file := p.file(fmt.Sprintf("%s.%d", name, p.made.Add(1)))
	d, err := p.attach(ctx, name, file)
	if err != nil {
		err = errors.Join(err, p.discard(name, file, d))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if d != nil {
			p.removed = append(p.removed, d)
		}
		return "", err
	}
	p.clones[id] = d
	return p.root(name), nil
}

// attach copies the image's file and mounts the copy. With an error comes the
// device that was made before.
func (p *loopPool) attach(ctx context.Context, name, file string) (*block.Device, error) {
	if err := p.copyImage(file); err != nil {
		return nil, err
	}
	d, err := block.Loop(ctx, file, 0)
	if err != nil {
		return nil, err
	}
	fs := p.backend.fs
	return d, block.Mount(d.Path, p.root(name), fs.Type, fs.Flags, p.backend.clones)
}

func (p *loopPool) copyImage(file string) error {
	from, err := os.Open(p.file("image"))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	info, err := from.Stat()
	if err == nil {
		err = p.share(to, from, info.Size())
	}
	return errors.Join(err, to.Close())
}

// discard takes away a clone, or what there is of one.
func (p *loopPool) discard(name, file string, d *block.Device) error {
	errs := []error{block.Unmount(p.root(name))}
	if d != nil {
		errs = append(errs, d.Detach())
	}
	for _, path := range []string{p.root(name), file} {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *loopPool) Diff(ctx context.Context, id string) ([]Change, error) {
	p.mu.Lock()
	_, ok := p.clones[id]
	p.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no clone %q", id)
	}
	return tree.CompareSince(ctx, p.root("image"), p.root("clone-"+id), p.since)
}

func (p *loopPool) Remove(ctx context.Context, id string) error {
	p.mu.Lock()
	d := p.clones[id]
	if d != nil {
		delete(p.clones, id)
		p.removed = append(p.removed, d)
	}
	p.mu.Unlock()
	if d == nil {
		return fmt.Errorf("no clone %q", id)
	}
	return p.discard("clone-"+id, d.File, d)
}

// Usage writes back the clones' file systems first, which the ground's does
// not know of, and waits for the files of those removed, which their devices
// keep.
func (p *loopPool) Usage(context.Context) (Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := []string{"image"}
	for id := range p.clones {
		names = append(names, "clone-"+id)
	}
	for _, name := range names {
		if err := block.Sync(p.root(name)); err != nil {
			return Usage{}, err
		}
	}
	p.removed = slices.DeleteFunc(p.removed, func(d *block.Device) bool { return d.Close() == nil })
	u, err := usage(p.ground)
	u.Used -= p.empty
	return u, err
}

func (p *loopPool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for id, d := range p.clones {
		errs = append(errs, p.discard("clone-"+id, d.File, d))
		p.removed = append(p.removed, d)
		delete(p.clones, id)
	}
	if p.image != nil {
		errs = append(errs, p.discard("image", p.image.File, p.image))
		p.removed = append(p.removed, p.image)
	}
	for _, d := range p.removed {
		errs = append(errs, d.Close())
	}
	p.removed, p.image = nil, nil
	return errors.Join(append(errs, p.ground.Close())...)
}
