package block

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FileSystem is how a file system is made and mounted.
type FileSystem struct {
	Type  string   // "ext4"
	Make  []string // arguments of mkfs.TYPE
	Flags uintptr  // MS_NOATIME...
	Data  string   // mount options
}

// Ext4 is a file system for a ground that nobody asked to be something else.
// Its tables are not written before they are needed, neither at making (200 MB
// for 8 GiB) nor in the background afterwards (noinit_itable), which counters
// would count; no block is kept for root; and nothing is discarded at making,
// as a new sparse file holds nothing.
var Ext4 = FileSystem{
	Type: "ext4",
	Make: []string{"-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"},
	Data: "noinit_itable",
}

// Ground is the file system on which a pool stands.
type Ground struct {
	Dir    string  // its root
	Device *Device // below it; nil for a place

	mounted bool
	empty   int64  // bytes in use when it was new
	number  uint64 // device of a place
}

// NewGround makes a file system on a device that exists, or where that is "",
// on a loop device on a sparse file of size bytes, and mounts it. File and
// mount are dir/ground.img and dir/ground. What was made before an error is
// taken away.
func NewGround(ctx context.Context, dir string, fs FileSystem, size int64, device string) (_ *Ground, err error) {
	g := &Ground{Dir: filepath.Join(dir, "ground")}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	if device != "" {
		g.Device, err = Open(device)
	} else {
		g.Device, err = Loop(ctx, filepath.Join(dir, "ground.img"), size)
	}
	if err != nil {
		return nil, err
	}
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
	u, err := g.Usage()
	if err != nil {
		return nil, err
	}
	g.empty = u.Used
	return g, nil
}

// PlaceGround takes a directory as it is. What else is on its file system
// counts as used before.
func PlaceGround(dir string) (*Ground, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, fmt.Errorf("stat %s: %w", dir, err)
	}
	g := &Ground{Dir: dir, number: st.Dev}
	u, err := g.Usage()
	if err != nil {
		return nil, err
	}
	g.empty = u.Used
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

// Usage writes back what is dirty, and counts.
func (g *Ground) Usage() (Usage, error) {
	dir, err := os.Open(g.Dir)
	if err != nil {
		return Usage{}, err
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return Usage{}, fmt.Errorf("syncfs %s: %w", g.Dir, err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return Usage{}, fmt.Errorf("statfs %s: %w", g.Dir, err)
	}
	u := Usage{
		Used:     int64(st.Blocks-st.Bfree)*st.Bsize - g.empty,
		Free:     int64(st.Bavail) * st.Bsize,
		Counters: Counters{Read: -1, Written: -1},
	}
	if g.Device != nil {
		u.Counters, err = g.Device.Counters()
		return u, err
	}
	if c, err := countersOf(g.number); err == nil {
		u.Counters = c
	}
	return u, nil
}

// Close takes away what NewGround made. It can be called again.
func (g *Ground) Close() error {
	var errs []error
	if g.mounted {
		errs = append(errs, Unmount(g.Dir))
		err := os.Remove(g.Dir)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		g.mounted = err != nil
		errs = append(errs, err)
	}
	if g.Device != nil {
		errs = append(errs, g.Device.Close())
	}
	return errors.Join(errs...)
}
