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
	unsteady := ""
	if isZFSFuse() {
		unsteady = "zfs-fuse forgets to answer some mounts, and all that come after"
	}
	return Info{
		Unsteady:  unsteady,
		Name:      "zfs",
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
	p := &zfsPool{dir: dir, clones: map[string]string{}, patient: map[string]func() bool{}, name: fmt.Sprintf("%s-%s", o.name(), strings.ToLower(rand.Text()[:8]))}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if isZFSFuse() {
		p.fuse = &theZFSFuse
		err = p.fuse.enter(ctx, p.name)
	} else {
		err = loadZFS(ctx)
	}
	if err != nil {
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
	if p.fuse == nil {
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
	fuse   *zfsFuse // nil with OpenZFS
	device *block.Device
	empty  int64
	since  tree.Mark // the image is as it will stay

	mu      sync.Mutex
	count   int
	clones  map[string]string      // by id, what dataset and directory are called
	patient map[string]func() bool // by the same name, ends the watch over it
	removed []string               // likewise, what was in use
}

func (p *zfsPool) dataset(name string) string { return p.name + "/" + name }
func (p *zfsPool) root(name string) string    { return filepath.Join(p.dir, name) }

// alone is a moment in which nothing is mounted or unmounted, where that matters.
func (p *zfsPool) alone() (over func()) {
	if p.fuse == nil {
		return func() {}
	}
	p.fuse.mounting.Lock()
	return p.fuse.mounting.Unlock
}

// mounted runs a command that mounts something at root. It is there when it
// can be looked at.
func (p *zfsPool) mounted(ctx context.Context, root string, args ...string) error {
	defer p.alone()()
	if _, err := block.Command(ctx, "zfs", args...); err != nil {
		return err
	}
	if p.fuse != nil {
		// One that zfs-fuse forgot waits for its FUSE_INIT, deaf to signals;
		// MNT_FORCE aborts the connection, umount(2), and with it the wait.
		forgotten := time.AfterFunc(answerWait, func() { unix.Unmount(root, unix.MNT_FORCE) })
		defer forgotten.Stop()
	}
	_, err := os.Stat(root)
	return err
}

// answerWait is far beyond what a mount takes to be served.
const answerWait = 10 * time.Second

// watch has zfs-fuse killed when ctx ends before stop is called. Whoever waits
// for an answer that it owes is deaf to signals, and would wait for ever; then
// its pools are lost, and their trials fail.
func (p *zfsPool) watch(ctx context.Context, name string) (stop func() bool) {
	if p.fuse == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() {
		p.fuse.abandon()
		unix.Unmount(p.root(name), unix.MNT_FORCE) // aborts the connection of a daemon that cannot be killed, umount(2)
	})
}

func (p *zfsPool) Import(ctx context.Context, image Image) error {
	defer p.watch(ctx, "image")()
	root := p.root("image")
	if err := p.mounted(ctx, root, "create", "-o", "mountpoint="+root, p.dataset("image")); err != nil {
		return err
	}
	if err := image.Unpack(ctx, root); err != nil {
		return err
	}
	if _, err := block.Command(ctx, "zfs", "snapshot", p.dataset("image@base")); err != nil {
		return err
	}
	var err error
	p.since, err = tree.Now()
	return err
}

// Clone does not call dataset and directory by the id alone: what was removed
// in use may still be there.
func (p *zfsPool) Clone(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
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
	stop := p.watch(ctx, name)
	p.mu.Lock()
	p.patient[name] = stop
	p.mu.Unlock()
	root := p.root(name)
	err := p.mounted(ctx, root, "clone", "-o", "mountpoint="+root, p.dataset("image@base"), p.dataset(name))
	if err != nil {
		return "", errors.Join(err, p.Remove(context.WithoutCancel(ctx), id))
	}
	return root, nil
}

// Diff walks with zfs-fuse, which has no "zfs diff".
func (p *zfsPool) Diff(ctx context.Context, id string) ([]Change, error) {
	p.mu.Lock()
	name := p.clones[id]
	p.mu.Unlock()
	if name == "" {
		return nil, fmt.Errorf("no clone %q", id)
	}
	image, root := p.root("image"), p.root(name)
	if p.fuse != nil {
		return tree.CompareSince(ctx, image, root, p.since)
	}
	out, err := block.Command(ctx, "zfs", "diff", "-H", p.dataset("image@base"), p.dataset(name))
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
// (MNT_DETACH) it would be as busy, and zfs-fuse answers nobody after that.
func (p *zfsPool) Remove(ctx context.Context, id string) error {
	p.mu.Lock()
	name := p.clones[id]
	delete(p.clones, id)
	stop := p.patient[name]
	delete(p.patient, name)
	p.mu.Unlock()
	if name == "" {
		return fmt.Errorf("no clone %q", id)
	}
	if stop != nil {
		defer stop()
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

// destroy waits a moment for a dataset that is busy: zfs-fuse notices some
// milliseconds later that it is not mounted any more. One that is not there is
// no error.
func (p *zfsPool) destroy(ctx context.Context, name string) error {
	defer p.alone()()
	if err := unix.Unmount(p.root(name), 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", p.root(name), err)
	}
	err := whileBusy(ctx, 500*time.Millisecond, func() error {
		_, err := block.Command(ctx, "zfs", "destroy", "-R", p.dataset(name))
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
	for _, name := range p.clones {
		if err := block.Sync(p.root(name)); err != nil {
			return Usage{}, err
		}
	}
	p.removed = slices.DeleteFunc(p.removed, func(name string) bool { return !isBusy(p.destroy(ctx, name)) })
	// Setting a property waits for the transaction group that it is in, and so
	// for all before.
	if _, err := block.Command(ctx, "zfs", "set", "plimsoll:usage=now", p.name); err != nil {
		return Usage{}, err
	}
	if p.fuse == nil {
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

// Close of the last pool in a zfs-fuse of ours ends that, in whatever state the
// pool is.
func (p *zfsPool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	errs := []error{p.unmount()}
	if p.fuse != nil {
		errs = append(errs, p.fuse.leave(ctx, p.name))
	} else {
		errs = append(errs, destroyZpool(ctx, p.name))
	}
	if p.device != nil {
		errs = append(errs, p.device.Close())
	}
	return errors.Join(errs...)
}

func (p *zfsPool) unmount() error {
	defer p.alone()()
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
	return whileBusy(ctx, 5*time.Second, func() error {
		_, err := block.Command(ctx, "zpool", "destroy", "-f", name)
		return err
	})
}

// loadZFS makes sure that the kernel has OpenZFS.
func loadZFS(ctx context.Context) error {
	_, err := zpools(ctx)
	if err == nil {
		return nil
	}
	block.Command(ctx, "modprobe", "zfs") // zpools says whether that was it
	if _, err := zpools(ctx); err != nil {
		return &Missing{Backend: "zfs", Reason: err.Error(), Fix: "modprobe zfs, after apt-get install zfs-dkms"}
	}
	return nil
}

func zpools(ctx context.Context) ([]string, error) {
	out, err := block.Command(ctx, "zpool", "list", "-H", "-o", "name")
	return strings.Fields(string(out)), err
}
