package block

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// FileSystem is how a file system is made and mounted.
type FileSystem struct {
	Type  string   // "ext4"
	Make  []string // arguments of mkfs.TYPE
	Flags uintptr  // MS_NOATIME...
	Data  string   // mount options

	// Late says that it gives back in the background what was removed, as xfs
	// does since Linux 5.14 ("deferred inode inactivation").
	Late bool
}

// Ext4 is a file system for a ground that nobody asked to be something else.
// Its tables are not written before they are needed, neither at making (200 MB
// for 8 GiB) nor in the background afterwards (noinit_itable), which counters
// would count; no block is kept for root; and nothing is discarded at making,
// as a new sparse file holds nothing. Blocks are of 4 KiB in small ones too:
// smaller are none that a device with sectors of 4 KiB could have. Reading
// writes nothing (noatime).
var Ext4 = FileSystem{
	Type:  "ext4",
	Make:  []string{"-q", "-F", "-b", "4096", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"},
	Flags: unix.MS_NOATIME,
	Data:  "noinit_itable",
}

// Ground is the file system on which a pool stands.
type Ground struct {
	Dir    string  // its root
	Device *Device // below it; nil for a place

	late    bool     // see FileSystem
	apart   Counters // what bringing it to rest has read and written
	mounted bool
	empty   int64  // bytes in use when it was new
	number  uint64 // device of a place
}

// NewGround makes a file system on a device that exists, or where that is "",
// on a loop device on a sparse file of size bytes, and mounts it. File and
// mount are dir/ground.img and dir/ground. What was made before an error is
// taken away.
func NewGround(ctx context.Context, dir string, fs FileSystem, size int64, device string) (_ *Ground, err error) {
	g := &Ground{Dir: filepath.Join(dir, "ground"), late: fs.Late}
	if device != "" {
		g.Device, err = Open(device)
	} else {
		g.Device, err = Loop(ctx, filepath.Join(dir, "ground.img"), size)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	if err := Mkfs(ctx, fs.Type, g.Device.Path, fs.Make...); err != nil {
		return nil, err
	}
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return nil, err
	}
	g.mounted = true
	if err := Mount(g.Device.Path, g.Dir, fs.Type, fs.Flags, fs.Data); err != nil {
		return nil, err
	}
	if fs.Type == "xfs" {
		failAtOnce(g.Device.Path)
	}
	u, err := g.Usage()
	if err != nil {
		return nil, err
	}
	g.empty = u.Used
	return g, nil
}

// failAtOnce has an xfs shut down when it cannot write back metadata. Else it
// would try for ever, and whoever waits for that, too ("Error handling" in
// Documentation/admin-guide/xfs.rst). Where /sys is read-only, as in some
// containers, it does as it always has.
func failAtOnce(device string) {
	for _, class := range []string{"EIO", "ENOSPC", "default"} {
		os.WriteFile(filepath.Join("/sys/fs/xfs", filepath.Base(device), "error/metadata", class, "max_retries"), []byte("0"), 0)
	}
}

// PlaceGround is a directory, dir/ground, on the file system that dir is on.
// What else is there counts as used before.
func PlaceGround(dir string) (*Ground, error) {
	g := &Ground{Dir: filepath.Join(dir, "ground"), late: true} // who knows
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err := unix.Stat(g.Dir, &st)
	if err == nil {
		g.number = st.Dev
		var u Usage
		u, err = g.Usage()
		g.empty = u.Used
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", g.Dir, err), os.Remove(g.Dir))
	}
	return g, nil
}

// Usage of a ground, in bytes.
type Usage struct {
	Used int64 // since it was new
	Free int64
	// Counters are those of the device below since it was there; -1 for a place
	// whose device has none of its own, as with tmpfs or btrfs.
	Counters
}

// Usage writes back what is dirty, and counts. What a file system of our own
// would write in its own time is written then, and counts for nobody.
func (g *Ground) Usage() (u Usage, err error) {
	u.Counters = Counters{Read: -1, Written: -1}
	if g.Device == nil {
		if u.Used, u.Free, err = g.settled(); err != nil {
			return u, err
		}
		if c, err := countersOf(g.number); err == nil {
			u.Counters = c
		}
	} else if err := g.count(&u); err != nil {
		return u, err
	}
	u.Used -= g.empty
	return u, nil
}

// count reads the device's counters, and then brings the file system to rest
// and its file down to what is in use.
func (g *Ground) count(u *Usage) error {
	if err := Sync(g.Dir); err != nil {
		return err
	}
	now, err := g.Device.Counters()
	if err != nil {
		return err
	}
	u.Counters = Counters{Read: now.Read - g.apart.Read, Written: now.Written - g.apart.Written}
	if g.late {
		if err := rest(g.Dir); err != nil {
			return err
		}
	}
	if u.Used, u.Free, err = inUse(g.Dir); err != nil {
		return err
	}
	wasteful, err := g.Device.wasteful(u.Used)
	if err != nil || !g.late && !wasteful {
		return err
	}
	if wasteful {
		if err := trim(g.Dir); err != nil {
			return err
		}
	}
	after, err := g.Device.Counters()
	g.apart.Read += after.Read - now.Read
	g.apart.Written += after.Written - now.Written
	return err
}

// rest has a file system write what its log holds to where it belongs. After a
// sync xfs does that up to 30 s later (xfssyncd_centisecs in
// Documentation/admin-guide/xfs.rst), in the middle of what is measured next;
// nothing but freezing has it do so at once (xfs_log_quiesce). Before that it
// gives back what was removed (xfs_inodegc_stop).
func rest(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), fiFreeze, 0); err != nil {
		return fmt.Errorf("FIFREEZE %s: %w", dir, err)
	}
	return Thaw(dir)
}

// Thaw lets a file system be written to that was frozen: one that a kill left so
// would stay, with its device, when nothing is mounted any more.
func Thaw(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.IoctlSetInt(int(f.Fd()), fiThaw, 0)
	if err != nil && err != unix.EINVAL { // it is not frozen
		return fmt.Errorf("FITHAW %s: %w", dir, err)
	}
	return nil
}

// ioctl_fifreeze(2): _IOWR('X', 119, int) and 120.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// settled waits until what is used of a place stays the same for a moment: its
// file system may give back space late. Others may write to it for ever.
func (g *Ground) settled() (used, free int64, err error) {
	used = -1
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := Sync(g.Dir); err != nil {
			return 0, 0, err
		}
		before := used
		used, free, err = inUse(g.Dir)
		if err != nil || used == before || time.Now().After(end) {
			return used, free, err
		}
	}
}

func inUse(dir string) (used, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}

// Sync writes back what is dirty in the file system that dir is on.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", dir, err)
	}
	return nil
}

// Close takes the ground away, with all that is on it. It can be called again.
func (g *Ground) Close() error {
	if g.Device == nil {
		return g.clear()
	}
	var errs []error
	release := g.Device.Close
	if g.mounted {
		err := Unmount(g.Dir)
		if err != nil {
			release = g.Device.Detach // it was waited for
		}
		errs = append(errs, err)
		err = os.Remove(g.Dir)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		g.mounted = err != nil
		errs = append(errs, err)
	}
	return errors.Join(append(errs, release())...)
}

// clear removes a place, unless something is mounted in it: that could be
// what belongs to somebody else.
func (g *Ground) clear() error {
	dir := resolved(g.Dir)
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("mounts below %s: %w", dir, err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s stays: something is mounted at %s", dir, mounts[0].Mountpoint)
	}
	return os.RemoveAll(dir)
}
