package storagebench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// ZFS keeps the image in a dataset, and clones a snapshot of it, by means of
// OpenZFS or of zfs-fuse. Both have their command-line tools only, and their
// start is in what an operation takes, as it is for whoever uses them.
type ZFS struct{}

func (ZFS) Info() Info {
	return Info{
		Name:      "zfs",
		Version:   zfsVersion(),
		Kind:      Snapshot,
		Help:      "a clone is a clone of a ZFS snapshot: records are shared until they are written to (OpenZFS, or zfs-fuse)",
		Copies:    Extent,
		NeverCold: "the ARC keeps records, whatever a program advises",
		// The ARC keeps a record once; the page cache, which mmap needs and
		// FUSE puts before it, keeps it for each clone.
		SharesCache: false,
	}
}

// zfsProperties are in neither's defaults, or not in all versions': what the
// others here do not do either is compressing, and writing down when a file was
// read.
var zfsProperties = []string{
	"-o", "cachefile=none", "-o", "ashift=12",
	"-O", "mountpoint=none", "-O", "atime=off", "-O", "compression=off",
}

// openZFSProperties are what Linux's own file systems have by themselves:
// extended attributes in the inode, and access control lists; and an I/O error
// instead of a process that hangs when the device goes.
var openZFSProperties = []string{"-o", "failmode=continue", "-O", "xattr=sa", "-O", "acltype=posixacl"}

// zfsFuseProperties: without its device zfs-fuse is to end (zio.c, zio_suspend),
// which is an I/O error for whoever uses it. With "continue" it waits for the
// device.
var zfsFuseProperties = []string{"-o", "failmode=panic"}

func (b ZFS) Probe(ctx context.Context, dir string) error {
	return probe(ctx, b, dir, 128<<20)
}

func (b ZFS) Open(ctx context.Context, dir string, o Options) (_ Pool, err error) {
	for _, tool := range []string{"zpool", "zfs"} {
		if _, err := block.Find(tool); err != nil {
			return nil, missing("zfs", err)
		}
	}
	p := &zfsPool{roots: dir, clones: map[string]string{}, name: fmt.Sprintf("%s-%s", o.name(), strings.ToLower(rand.Text()[:8]))}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if o.Device != "" {
		p.device, err = block.Open(o.Device)
	} else {
		p.device, err = block.Loop(ctx, filepath.Join(dir, "pool.img"), o.size())
	}
	if err != nil {
		return nil, missing("zfs", err)
	}
	if isZFSFuse() {
		p.roots = filepath.Join(dir, "mounted")
		p.fuse, err = startZFSFuse(ctx, p.roots, p.device)
	} else {
		err = loadZFS(ctx)
	}
	if err != nil {
		return nil, missing("zfs", err)
	}
	if o.Record != nil && p.fuse == nil { // zfs-fuse ends with us
		if err := o.Record(Resource{Kind: "zpool", Name: p.name}); err != nil {
			return nil, err
		}
	}
	own := openZFSProperties
	if p.fuse != nil {
		own = zfsFuseProperties
	}
	args := slices.Concat([]string{"create", "-f"}, zfsProperties, own, []string{p.name, p.device.Path})
	if _, err := p.command(ctx, "zpool", args...); err != nil {
		return nil, missing("zfs", err)
	}
	if p.fuse == nil {
		if p.rescue, err = rescueZFS(p.name, p.device); err != nil {
			return nil, err
		}
	}
	p.empty, _, err = p.space(ctx)
	return p, err
}

// name begins the names of what is global on the host.
func (o Options) name() string {
	if o.Name == "" {
		return "plimsoll-" + strconv.Itoa(os.Getpid())
	}
	return o.Name
}

type zfsPool struct {
	roots  string // the directory that they are in
	name   string
	fuse   *zfsFuse // nil with OpenZFS
	device *block.Device
	rescue *zfsRescue // nil with zfs-fuse
	empty  int64
	since  tree.Mark // the image is as it will stay

	mu      sync.Mutex
	count   int
	clones  map[string]string // by id, what dataset and directory are called
	removed []string          // likewise, what was in use
}

func (p *zfsPool) dataset(name string) string { return p.name + "/" + name }
func (p *zfsPool) root(name string) string    { return filepath.Join(p.roots, name) }

func (p *zfsPool) command(ctx context.Context, tool string, args ...string) (out []byte, err error) {
	if p.fuse != nil {
		out, err = p.fuse.command(ctx, tool, args...)
	} else {
		out, err = p.rescue.command(ctx, tool, args...)
	}
	if err != nil && strings.Contains(err.Error(), "out of space") {
		err = fmt.Errorf("%w: the pool is full (--size): %w", err, unix.ENOSPC)
	}
	return out, err
}

func (p *zfsPool) Import(ctx context.Context, image Image) error {
	if err := p.rescue.err(); err != nil {
		return err
	}
	root := p.root("image")
	if _, err := p.command(ctx, "zfs", "create", "-o", "mountpoint="+root, p.dataset("image")); err != nil {
		return err
	}
	if err := image.Unpack(ctx, root); err != nil {
		return p.fuse.explain(err)
	}
	if _, err := p.command(ctx, "zfs", "snapshot", p.dataset("image@base")); err != nil {
		return err
	}
	var err error
	p.since, err = tree.Now()
	return err
}

// Clone does not call dataset and directory by the id alone: what was removed
// in use may still be there.
func (p *zfsPool) Clone(ctx context.Context, id string) (string, error) {
	if err := errors.Join(checkID(id), p.rescue.err()); err != nil {
		return "", err
	}
	p.mu.Lock()
	_, taken := p.clones[id]
	p.count++
	name := fmt.Sprintf("clone-%s-%d", id, p.count)
	if !taken {
		p.clones[id] = name
	}
	p.mu.Unlock()
	if taken {
		return "", fmt.Errorf("clone %q is there already", id)
	}
	if p.fuse != nil {
		context.AfterFunc(ctx, func() { p.fuse.doubt(p.root("image")) })
	}
	root := p.root(name)
	_, err := p.command(ctx, "zfs", "clone", "-o", "mountpoint="+root, p.dataset("image@base"), p.dataset(name))
	if err == nil {
		_, err = os.Stat(root) // it is there when it can be looked at
		err = p.fuse.explain(err)
	}
	if err != nil {
		return "", errors.Join(err, p.Remove(context.WithoutCancel(ctx), id))
	}
	return root, nil
}

// Diff walks with zfs-fuse, which has no "zfs diff"; nor does a file's ctime
// change there with its extended attributes (zfs_operations.c,
// zfsfuse_setxattr).
func (p *zfsPool) Diff(ctx context.Context, id string) ([]Change, error) {
	p.mu.Lock()
	name := p.clones[id]
	p.mu.Unlock()
	if name == "" {
		return nil, fmt.Errorf("no clone %q", id)
	}
	if err := p.rescue.err(); err != nil {
		return nil, err
	}
	image, root := p.root("image"), p.root(name)
	if p.fuse != nil {
		changes, err := tree.CompareSinceAndXattrs(ctx, image, root, p.since)
		return changes, p.fuse.explain(err)
	}
	out, err := p.command(ctx, "zfs", "diff", "-H", p.dataset("image@base"), p.dataset(name))
	if err != nil {
		return nil, err
	}
	candidates, err := zfsCandidates(string(out), root, image)
	if err != nil {
		return nil, err
	}
	return compareCandidates(ctx, image, root, candidates, p.since)
}

// Remove leaves a clone that is in use where it is, and tries again when the
// pool is asked for its usage or is closed. Detached from its directory
// (MNT_DETACH) it would be as busy.
func (p *zfsPool) Remove(ctx context.Context, id string) error {
	p.mu.Lock()
	name := p.clones[id]
	delete(p.clones, id)
	p.mu.Unlock()
	if name == "" {
		return fmt.Errorf("no clone %q", id)
	}
	err := p.destroy(ctx, name)
	if isBusy(err) {
		p.mu.Lock()
		p.removed = append(p.removed, name)
		p.mu.Unlock()
		return nil
	}
	return err
}

// destroy waits a moment for a dataset that is busy. One that is not there is no
// error.
func (p *zfsPool) destroy(ctx context.Context, name string) error {
	if err := p.unmount(p.root(name)); err != nil {
		return err
	}
	err := whileBusy(ctx, 500*time.Millisecond, func() error {
		_, err := p.command(ctx, "zfs", "destroy", "-R", p.dataset(name))
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "does not exist") {
		return err
	}
	if err := os.Remove(p.root(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (p *zfsPool) unmount(root string) error {
	if p.fuse != nil {
		return p.fuse.unmount(root)
	}
	if err := unix.Unmount(root, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", root, err)
	}
	return nil
}

func isBusy(err error) bool {
	return errors.Is(err, unix.EBUSY) || err != nil && strings.Contains(err.Error(), "busy")
}

func whileBusy(ctx context.Context, most time.Duration, try func() error) error {
	for end := time.Now().Add(most); ; time.Sleep(5 * time.Millisecond) {
		err := try()
		if !isBusy(err) || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

func (p *zfsPool) Usage(ctx context.Context) (Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.rescue.err(); err != nil {
		return Usage{}, err
	}
	for _, name := range p.clones {
		if err := block.Sync(p.root(name)); err != nil {
			return Usage{}, p.fuse.explain(err)
		}
	}
	p.removed = slices.DeleteFunc(p.removed, func(name string) bool { return !isBusy(p.destroy(ctx, name)) })
	// Setting a property waits for the transaction group that it is in, and so
	// for all before.
	if _, err := p.command(ctx, "zfs", "set", "plimsoll:usage=now", p.name); err != nil {
		return Usage{}, err
	}
	if p.fuse == nil {
		if _, err := p.command(ctx, "zpool", "wait", "-t", "free", p.name); err != nil {
			return Usage{}, err
		}
	}
	used, free, err := p.space(ctx)
	if err != nil {
		return Usage{}, err
	}
	c, err := p.device.Counters()
	return Usage{Used: used - p.empty, Free: free, Written: c.Written, Read: c.Read}, err
}

func (p *zfsPool) space(ctx context.Context) (used, free int64, err error) {
	out, err := p.command(ctx, "zfs", "get", "-Hp", "-o", "value", "used,available", p.name)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(string(out), &used, &free); err != nil {
		return 0, 0, fmt.Errorf("zfs get used,available %s: %q: %w", p.name, out, err)
	}
	return used, free, nil
}

// Close takes the pool away in whatever state it is: with zfs-fuse, it kills
// that.
func (p *zfsPool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	if p.fuse != nil {
		errs = append(errs, p.fuse.close())
	} else {
		errs = append(errs, p.rescue.unlessGone(func() error {
			return errors.Join(p.unmountAll(), destroyZpool(ctx, p.name))
		}))
		p.rescue.end()
	}
	if p.device != nil {
		errs = append(errs, p.device.Close())
	}
	return errors.Join(errs...)
}

func (p *zfsPool) unmountAll() error {
	var errs []error
	for _, name := range slices.Concat([]string{"image"}, slices.Collect(maps.Values(p.clones)), p.removed) {
		errs = append(errs, block.Unmount(p.root(name)))
		if err := os.Remove(p.root(name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	p.clones, p.removed = map[string]string{}, nil
	return errors.Join(errs...)
}

// destroyZpool takes a pool away if it is there: never more than that one.
func destroyZpool(ctx context.Context, name string) error {
	names, err := zpools(ctx)
	if err != nil || !slices.Contains(names, name) {
		return nil // nor is it if there is no daemon or no module, which would have it
	}
	if err := wakeZpool(ctx, name); err != nil {
		return err
	}
	return whileBusy(ctx, 5*time.Second, func() error {
		_, err := block.Command(ctx, "zpool", "destroy", "-f", name)
		return err
	})
}

func zpools(ctx context.Context) ([]string, error) {
	out, err := block.Command(ctx, "zpool", "list", "-H", "-o", "name")
	return strings.Fields(string(out)), err
}
