package storagebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/dm"
	"plimsoll/storagebench/tree"
)

// volumes are thin volumes of a pool, made by the device mapper itself or by
// LVM. Errors of snapshot and remove may come from several goroutines at once.
type volumes interface {
	// create makes an empty volume, and snapshot one that shares all blocks
	// with origin, which is not active. Both are active then, at device.
	create(ctx context.Context, volume string) (device string, err error)
	snapshot(ctx context.Context, volume, origin string) (device string, err error)

	deactivate(ctx context.Context, volume string) error

	// remove takes an active volume away, from its users too if it has any.
	remove(ctx context.Context, volume string, used bool) error

	usage() (dm.ThinUsage, error)
	close(ctx context.Context) error
}

// thinPool keeps an image as Docker's devicemapper driver did: each layer is a
// volume with a file system, a snapshot of the layer below it, and a clone is a
// snapshot of the topmost. The layers are inactive, since a snapshot of an
// active volume has to suspend it; so Diff has one more snapshot of the topmost
// beside the clones, mounted read-only for as long as the pool lives. Docker's
// made the parent active for each diff, which with LVM are two commands.
//
// Sources: Documentation/admin-guide/device-mapper/thin-provisioning.rst, and
// moby's daemon/graphdriver/devmapper.
type thinPool struct {
	dir     string
	device  *block.Device
	volumes volumes
	fs      block.FileSystem

	top  string    // the volume that holds the image; the snapshot for Diff is called image
	mark tree.Mark // when nobody had written to a clone

	mu     sync.Mutex
	clones map[string]string // id to root
	closed bool
}

// rootfs is where the root is in a volume: ext4 has a lost+found of its own.
const rootfs = "rootfs"

func newThinPool(dir string, device *block.Device, v volumes) *thinPool {
	return &thinPool{dir: dir, device: device, volumes: v, fs: block.Ext4, clones: map[string]string{}}
}

func (p *thinPool) Import(ctx context.Context, image Image) error {
	device, err := p.volumes.create(ctx, "layer0")
	if err != nil {
		return p.explain(err)
	}
	p.top = "layer0"
	if err := block.Mkfs(ctx, p.fs.Type, device, p.fs.Make...); err != nil {
		return p.explain(err)
	}
	err = p.with(ctx, p.top, device, func(dir string) error {
		return os.Mkdir(filepath.Join(dir, rootfs), 0o755)
	})
	for i, l := range image.Layers {
		if err != nil {
			break
		}
		volume := fmt.Sprintf("layer%d", i+1)
		if device, err = p.volumes.snapshot(ctx, volume, p.top); err != nil {
			break
		}
		p.top = volume
		err = p.with(ctx, volume, device, func(dir string) error {
			return l.unpack(ctx, filepath.Join(dir, rootfs), tree.Apply)
		})
	}
	if err == nil {
		device, err = p.volumes.snapshot(ctx, "image", p.top)
	}
	if err == nil {
		err = p.mount(device, p.image(), unix.MS_RDONLY)
	}
	if err != nil {
		return p.explain(fmt.Errorf("import %s: %w", image.Name, err))
	}
	p.mark, err = tree.Now()
	return err
}

func (p *thinPool) image() string { return filepath.Join(p.dir, "image") }

func (p *thinPool) mount(device, dir string, flags uintptr) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return block.Mount(device, dir, p.fs.Type, flags, p.fs.Data)
}

// with has a volume mounted while do runs, and then everything written.
func (p *thinPool) with(ctx context.Context, volume, device string, do func(dir string) error) error {
	dir := filepath.Join(p.dir, "layer")
	err := p.mount(device, dir, 0)
	if err == nil {
		err = do(dir)
		if err == nil {
			err = block.Sync(dir) // unmounting does not say what could not be written
		}
		err = errors.Join(err, block.Unmount(dir))
	}
	return errors.Join(err, os.Remove(dir), p.volumes.deactivate(context.WithoutCancel(ctx), volume))
}

func (p *thinPool) Clone(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	p.mu.Lock()
	_, taken := p.clones[id]
	if !taken {
		p.clones[id] = "" // in the making
	}
	p.mu.Unlock()
	if taken {
		return "", fmt.Errorf("clone %s is there already", id)
	}
	root, err := p.clone(ctx, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		delete(p.clones, id)
		return "", p.explain(fmt.Errorf("clone %s: %w", id, err))
	}
	p.clones[id] = root
	return root, nil
}

func (p *thinPool) clone(ctx context.Context, id string) (root string, err error) {
	device, err := p.volumes.snapshot(ctx, volumeOf(id), p.top)
	if err != nil {
		return "", err
	}
	at := p.at(id)
	if err = p.mount(device, at, p.fs.Flags); err != nil {
		return "", errors.Join(err, os.Remove(at), p.volumes.remove(context.WithoutCancel(ctx), volumeOf(id), false))
	}
	return filepath.Join(at, rootfs), nil
}

// volumeOf keeps clones and layers apart.
func volumeOf(id string) string { return "c-" + id }

// root is that of a clone that is there.
func (p *thinPool) root(id string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clones[id] == "" {
		return "", fmt.Errorf("clone %q is not there", id)
	}
	return p.clones[id], nil
}

func (p *thinPool) at(id string) string { return filepath.Join(p.dir, "clones", id) }

// Diff looks at the image beside the clone: a thin pool knows which blocks
// differ, not of which files they are.
func (p *thinPool) Diff(ctx context.Context, id string) ([]Change, error) {
	root, err := p.root(id)
	if err != nil {
		return nil, err
	}
	return tree.CompareSince(ctx, filepath.Join(p.image(), rootfs), root, p.mark)
}

func (p *thinPool) Remove(ctx context.Context, id string) error {
	if _, err := p.root(id); err != nil {
		return err
	}
	used, err := unmount(p.at(id))
	if err != nil {
		return err
	}
	if err := errors.Join(p.volumes.remove(ctx, volumeOf(id), used), os.Remove(p.at(id))); err != nil {
		return p.explain(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.clones, id)
	return nil
}

// unmount says whether a mount was in use, and is only detached: then its
// device is not free. Where nothing is mounted it does nothing.
func unmount(dir string) (used bool, err error) {
	err = unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		used = true
		err = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return used, fmt.Errorf("unmount %s: %w", dir, err)
	}
	return used, nil
}

func (p *thinPool) Usage(ctx context.Context) (Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, root := range p.clones {
		if err := block.Sync(root); err != nil {
			return Usage{}, p.explain(err)
		}
	}
	t, err := p.volumes.usage()
	if err != nil {
		return Usage{}, err
	}
	c, err := p.device.Counters()
	return Usage{Used: t.Used(), Free: t.Free(), Written: c.Written, Read: c.Read}, err
}

// explain says that the pool is full, where it is: a volume does not know, and
// its file system hears of errors of a device only.
func (p *thinPool) explain(err error) error {
	t, statusErr := p.volumes.usage()
	if err == nil || statusErr != nil || !t.Full() {
		return err
	}
	return fmt.Errorf("%w: the thin pool has used %d of %d bytes, mode %s (pools.size makes it larger): %w", err, t.Used(), t.Used()+t.Free(), t.Mode, unix.ENOSPC)
}

func (p *thinPool) Close() error {
	if p.closed {
		return nil
	}
	var errs []error
	for _, pattern := range []string{"layer", "image", "clones/*", "clones"} {
		dirs, err := filepath.Glob(filepath.Join(p.dir, pattern))
		errs = append(errs, err)
		for _, d := range dirs {
			_, err := unmount(d)
			errs = append(errs, err, os.Remove(d))
		}
	}
	errs = append(errs, p.volumes.close(context.Background()), p.device.Close())
	err := errors.Join(errs...)
	p.closed = err == nil
	return err
}

// thinDevice is what a pool stands on.
func (o Options) thinDevice(ctx context.Context, dir string) (*block.Device, error) {
	if o.Device != "" {
		return block.Open(o.Device)
	}
	return block.Loop(ctx, filepath.Join(dir, "thin.img"), o.size())
}

// deviceSize is in bytes.
func deviceSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Seek(0, io.SeekEnd)
}

// probeThin does not build a pool to see: devices that a kill leaves would be in
// no ledger.
func probeThin(ctx context.Context, backend, dir string, tools ...string) error {
	if err := needThin(backend, tools...); err != nil {
		return err
	}
	device, err := block.Loop(ctx, filepath.Join(dir, "probe.img"), 1<<20)
	if err != nil {
		return missing(backend, err)
	}
	return device.Close()
}

// needThin looks for what thin pools need, and loads no module.
func needThin(backend string, tools ...string) error {
	if !dm.Loaded() {
		return noThin(backend)
	}
	c, err := dm.Open()
	if err != nil {
		return missing(backend, err)
	}
	defer c.Close()
	for _, target := range []string{"thin-pool", "thin"} {
		has, err := c.Has(target)
		if err != nil {
			return missing(backend, err)
		}
		if !has {
			return noThin(backend)
		}
	}
	for _, tool := range tools {
		if _, err := block.Find(tool); err != nil {
			return missing(backend, err)
		}
	}
	return nil
}

func noThin(backend string) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	release := unix.ByteSliceToString(u.Release[:])
	modules, _ := os.ReadFile(filepath.Join("/lib/modules", release, "modules.dep"))
	if !strings.Contains(string(modules), "/dm-thin-pool.ko") {
		return &Missing{Backend: backend, Reason: "Linux " + release + " has no device-mapper target thin-pool (CONFIG_DM_THIN_PROVISIONING)"}
	}
	return &Missing{Backend: backend, Reason: "the device-mapper target thin-pool is available, not loaded", Fix: "modprobe dm_thin_pool"}
}
