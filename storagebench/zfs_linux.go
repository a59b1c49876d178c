package storagebench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// ZFS keeps the image in a dataset, and clones a snapshot of it, by means of
// OpenZFS or of zfs-fuse. Both have their command-line tools only, and their
// start is in what an operation takes, as it is for whoever uses them.
type ZFS struct{}

func (ZFS) Info() Info {
	return Info{
		Name:   "zfs",
		Kind:   Snapshot,
		Help:   "a clone is a clone of a ZFS snapshot: records are shared until they are written to (OpenZFS, or zfs-fuse)",
		Copies: Extent,
		// The ARC keeps a record once; the page cache, which mmap needs and
		// FUSE puts before it, keeps it for each clone.
		SharesCache: false,
	}
}

// zfsProperties are in neither's defaults, or not in all versions': what the
// others here do not do either, compressing and writing down when a file was
// read, and an I/O error instead of a process that hangs when the device goes.
var zfsProperties = []string{
	"-o", "cachefile=none", "-o", "failmode=continue", "-o", "ashift=12",
	"-O", "mountpoint=none", "-O", "atime=off", "-O", "compression=off",
}

// openZFSProperties are what Linux's own file systems have by themselves:
// extended attributes in the inode, and access control lists.
var openZFSProperties = []string{"-O", "xattr=sa", "-O", "acltype=posixacl"}

func (b ZFS) Probe(ctx context.Context, dir string) error {
	return probe(ctx, b, dir, 128<<20)
}

func (b ZFS) Open(ctx context.Context, dir string, o Options) (_ Pool, err error) {
	for _, tool := range []string{"zpool", "zfs"} {
		if _, err := block.Find(tool); err != nil {
			return nil, missing("zfs", err)
		}
	}
	p := &zfsPool{dir: dir, name: fmt.Sprintf("%s-%s", o.name(), strings.ToLower(rand.Text()[:8]))}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.daemon, err = startZFS(ctx, dir); err != nil {
		return nil, missing("zfs", err)
	}
	if o.Device != "" {
		p.device, err = block.Open(o.Device)
	} else {
		p.device, err = block.Loop(ctx, filepath.Join(dir, "pool.img"), o.size())
	}
	if err != nil {
		return nil, missing("zfs", err)
	}
	if o.Record != nil {
		if err := o.Record(Resource{Kind: "zpool", Name: p.name}); err != nil {
			return nil, err
		}
	}
	args := append([]string{"create", "-f"}, zfsProperties...)
	if !isZFSFuse() {
		args = append(args, openZFSProperties...)
	}
	if _, err := block.Command(ctx, "zpool", append(args, p.name, p.device.Path)...); err != nil {
		return nil, missing("zfs", err)
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
	dir    string
	name   string
	daemon *zfsDaemon // nil where it is not ours, or in the kernel
	device *block.Device
	empty  int64
	since  tree.Mark // the image is as it will stay

	mu      sync.Mutex
	clones  []string
	removed []string // which were in use
}

func (p *zfsPool) dataset(name string) string { return p.name + "/" + name }
func (p *zfsPool) root(name string) string    { return filepath.Join(p.dir, name) }

func (p *zfsPool) Import(ctx context.Context, image Image) error {
	const name = "image"
	if _, err := block.Command(ctx, "zfs", "create", "-o", "mountpoint="+p.root(name), p.dataset(name)); err != nil {
		return err
	}
	if err := image.unpack(ctx, p.root(name)); err != nil {
		return err
	}
	if _, err := block.Command(ctx, "zfs", "snapshot", p.dataset(name)+"@base"); err != nil {
		return err
	}
	var err error
	p.since, err = tree.Now()
	return err
}

func (p *zfsPool) Clone(ctx context.Context, id string) (string, error) {
	name := "clone-" + id
	_, err := block.Command(ctx, "zfs", "clone", "-o", "mountpoint="+p.root(name), p.dataset("image@base"), p.dataset(name))
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clones = append(p.clones, id)
	return p.root(name), nil
}

// Diff walks with zfs-fuse, which has no "zfs diff".
func (p *zfsPool) Diff(ctx context.Context, id string) ([]Change, error) {
	image, root := p.root("image"), p.root("clone-"+id)
	if isZFSFuse() {
		return tree.CompareSince(ctx, image, root, p.since)
	}
	out, err := block.Command(ctx, "zfs", "diff", "-H", p.dataset("image@base"), p.dataset("clone-"+id))
	if err != nil {
		return nil, err
	}
	candidates, err := zfsCandidates(string(out), root, image)
	if err != nil {
		return nil, err
	}
	return compareCandidates(ctx, image, root, candidates, p.since)
}

func (p *zfsPool) Remove(ctx context.Context, id string) error {
	p.mu.Lock()
	i := slices.Index(p.clones, id)
	if i >= 0 {
		p.clones = slices.Delete(p.clones, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		return fmt.Errorf("no clone %s", id)
	}
	name := "clone-" + id
	if err := block.Unmount(p.root(name)); err != nil {
		return err
	}
	if err := os.Remove(p.root(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
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

// destroy waits for a while when a dataset is busy: zfs-fuse notices that one
// is not mounted any more some milliseconds later.
func (p *zfsPool) destroy(ctx context.Context, name string) error {
	return whileBusy(ctx, time.Second, func() error {
		_, err := block.Command(ctx, "zfs", "destroy", "-R", p.dataset(name))
		return err
	})
}

func isBusy(err error) bool { return err != nil && strings.Contains(err.Error(), "busy") }

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
	for _, id := range p.clones {
		if err := block.Sync(p.root("clone-" + id)); err != nil {
			return Usage{}, err
		}
	}
	p.removed = slices.DeleteFunc(p.removed, func(name string) bool { return !isBusy(p.destroy(ctx, name)) })
	// Setting a property waits for the transaction group that it is in, and so
	// for all before.
	if _, err := block.Command(ctx, "zfs", "set", "plimsoll:usage=now", p.name); err != nil {
		return Usage{}, err
	}
	if !isZFSFuse() {
		if _, err := block.Command(ctx, "zpool", "wait", "-t", "free", p.name); err != nil {
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
	out, err := block.Command(ctx, "zfs", "get", "-Hp", "-o", "value", "used,available", p.name)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(string(out), &used, &free); err != nil {
		return 0, 0, fmt.Errorf("zfs get used,available %s: %q: %w", p.name, out, err)
	}
	return used, free, nil
}

// Close ends a daemon of ours in any case, and with it all that is in it.
func (p *zfsPool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	names := []string{"image"}
	for _, id := range p.clones {
		names = append(names, "clone-"+id)
	}
	for _, name := range names {
		errs = append(errs, block.Unmount(p.root(name)))
	}
	errs = append(errs, destroyZpool(ctx, p.name))
	if p.daemon != nil {
		errs = append(errs, p.daemon.stop(ctx, p.name))
		p.daemon = nil
	}
	for _, name := range names {
		if err := os.Remove(p.root(name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if p.device != nil {
		errs = append(errs, p.device.Close())
	}
	p.clones, p.removed = nil, nil
	return errors.Join(errs...)
}

// destroyZpool takes a pool away if it is there: never more than that one.
func destroyZpool(ctx context.Context, name string) error {
	names, err := zpools(ctx)
	if err != nil || !slices.Contains(names, name) {
		return nil // nor is it if there is no daemon or no module, which would have it
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
