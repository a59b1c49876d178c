package operation

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
)

// SmallChangeOptions say what is changed.
type SmallChangeOptions struct {
	Files int  // small files of the image
	Cold  bool // evicted from the page cache before, instead of read into it
}

// SmallChange changes one byte of each of some small files of the image, in a
// new clone.
//
//	small_change         s  opening, changing and closing a file that is the image's: median
//	small_change_again   s  the same file once more
//	small_change_sync    s  writing back what the first changes made dirty, per file
//	write_per_change     B  written to the device until all is written back, per file
//	write_amplification  1  bytes written to the device per byte changed
func SmallChange(ctx context.Context, t Target, o SmallChangeOptions) (made []Measurement, err error) {
	err = t.withClone(ctx, "small-change", func(root string) error {
		files, err := smallFiles(ctx, root, o.Files)
		if err != nil {
			return err
		}
		made, err = t.change(ctx, "small_change", root, files, o.Cold)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("change small files: %w", err)
	}
	return made, nil
}

// LargeChangeOptions say what is changed.
type LargeChangeOptions struct {
	Size int64 // bytes of the file: the image must have one of just that size
	Cold bool  // evicted from the page cache before, instead of read into it
}

// LargeChange changes one byte in the middle of a large file of the image, in a
// new clone, and the mode of that file in another.
//
//	large_change         s  opening, changing and closing the file, which is the image's
//	large_change_again   s  the same once more
//	large_change_sync    s  writing back what the first change made dirty
//	write_per_change     B  written to the device until all is written back
//	write_amplification  1  bytes written to the device per byte changed
//	chmod                s  changing the mode only
//	write_per_chmod      B
func LargeChange(ctx context.Context, t Target, o LargeChangeOptions) (made []Measurement, err error) {
	err = t.withClone(ctx, "large-change", func(root string) error {
		f, err := largeFile(ctx, root, o.Size)
		if err != nil {
			return err
		}
		made, err = t.change(ctx, "large_change", root, []file{f}, o.Cold)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("change a large file: %w", err)
	}
	err = t.withClone(ctx, "chmod", func(root string) error {
		f, err := largeFile(ctx, root, o.Size)
		if err != nil {
			return err
		}
		more, err := t.chmod(ctx, root, f, o.Cold)
		made = append(made, more...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("change the mode of a large file: %w", err)
	}
	return made, nil
}

// change changes a byte of each file, and once more. The measurements are named
// after metric.
func (t Target) change(ctx context.Context, metric, root string, files []file, cold bool) ([]Measurement, error) {
	before := make([][]extent, len(files))
	for i, f := range files {
		var err error
		if before[i], err = extents(f.path); err != nil {
			return nil, err
		}
	}
	first, again := make([]time.Duration, len(files)), make([]time.Duration, len(files))
	if err := t.prepare(ctx, files, cold); err != nil {
		return nil, err
	}
	var sync time.Duration
	took, err := t.during(ctx, func() error {
		if err := overwriteAll(ctx, files, 0xa5, first); err != nil {
			return err
		}
		start := time.Now()
		defer func() { sync = time.Since(start) }()
		return syncfs(root)
	})
	if err != nil {
		return nil, err
	}
	if err := t.copied(root, t.Info.Copies, files, before, took); err != nil {
		return nil, err
	}
	if cold {
		if err := t.wasCold(files, took); err != nil {
			return nil, err
		}
	}
	if err := overwriteAll(ctx, files, 0x5a, again); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := holds(f, 0x5a); err != nil {
			return nil, err
		}
	}
	n := int64(len(files))
	made := []Measurement{
		seconds(metric, median(first)),
		seconds(metric+"_again", median(again)),
		seconds(metric+"_sync", sync/time.Duration(n)),
	}
	if took.written >= 0 {
		made = append(made, bytes("write_per_change", took.written/n),
			Measurement{"write_amplification", "1", "lower", float64(took.written) / float64(n)})
	}
	return made, nil
}

func overwriteAll(ctx context.Context, files []file, value byte, took []time.Duration) error {
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		if err := overwrite(f, value); err != nil {
			return err
		}
		took[i] = time.Since(start)
	}
	return nil
}

// chmod changes the mode of a file that is the image's.
func (t Target) chmod(ctx context.Context, root string, f file, cold bool) ([]Measurement, error) {
	files := []file{f}
	before, err := extents(f.path)
	if err != nil {
		return nil, err
	}
	if err := t.prepare(ctx, files, cold); err != nil {
		return nil, err
	}
	var elapsed time.Duration
	took, err := t.during(ctx, func() error {
		start := time.Now()
		defer func() { elapsed = time.Since(start) }()
		if err := unix.Chmod(f.path, 0o751); err != nil {
			return fmt.Errorf("chmod %s: %w", f.path, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.copied(root, metadataCopies(t.Info), files, [][]extent{before}, took); err != nil {
		return nil, err
	}
	made := []Measurement{seconds("chmod", elapsed)}
	if took.written >= 0 {
		made = append(made, bytes("write_per_chmod", took.written))
	}
	return made, nil
}

// metadataCopies is what a backend copies when not a file's content changes but
// its mode, owner or name. "Metadata only copy up", overlayfs.rst.
func metadataCopies(info storagebench.Info) storagebench.Unit {
	if info.Name == "overlay-metacopy" {
		return storagebench.Extent
	}
	return info.Copies
}

// prepare brings files into the state in which they are to be changed. Those
// that are to be in memory are read as by a program that seeks in them, page by
// page, as a write finds or makes them: readahead would make folios of up to
// 2 MiB, and whether a byte in one dirties all of it (xfs from Linux 5.18 to 6.5;
// "iomap: Add per-block dirty state tracking to improve performance") is the page
// cache's affair, with any file and no clone. On 6.1 that wrote 1 MiB for a byte.
func (t Target) prepare(ctx context.Context, files []file, cold bool) error {
	// What is dirty cannot be evicted.
	if _, err := t.Pool.Usage(ctx); err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if cold {
			err = evict(f.path)
		} else {
			err = readAll(f.path, unix.FADV_RANDOM, buffer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A file of this many bytes is large beside what a file system writes for one
// change of anything: blocks, journal, trees.
const largeEnough = 8 << 20

// copied asserts that a change of files of the image copied what the backend
// says: File is all of them; anything else less than an eighth of a large one.
func (t Target) copied(root string, unit storagebench.Unit, files []file, before [][]extent, took usage) error {
	size := int64(0)
	for _, f := range files {
		size += f.size
	}
	if unit == storagebench.File {
		shares, err := reflinks(root)
		if err != nil {
			return err
		}
		if shares {
			unit = storagebench.Extent
		}
	}
	if unit != storagebench.File {
		if !t.Shared && len(files) == 1 && size >= largeEnough && max(took.written, took.used) > size/8 {
			return fmt.Errorf("%s says that it copies %s, and %d bytes were written and %d allocated when a byte of a file of %d changed",
				t.Info.Name, unit, took.written, took.used, size)
		}
		return nil
	}
	// An upper directory in memory takes space, and nothing is written.
	if max(took.written, took.used) < size {
		return fmt.Errorf("%s says that it copies whole files, and %d bytes were written and %d allocated when files of %d bytes together changed",
			t.Info.Name, took.written, took.used, size)
	}
	for i, f := range files {
		after, err := extents(f.path)
		if err != nil {
			return err
		}
		if overlap(before[i], after) {
			return fmt.Errorf("%s says that it copies whole files, and %s has a part that lies where it lay before the change", t.Info.Name, f.path)
		}
	}
	return nil
}

// wasCold asserts that files that were copied as a whole came from the device.
func (t Target) wasCold(files []file, took usage) error {
	if t.Info.Copies != storagebench.File || took.read < 0 {
		return nil
	}
	size := int64(0)
	for _, f := range files {
		size += f.size
	}
	if took.read < size {
		return fmt.Errorf("%w: files of %d bytes were changed, and only %d bytes read", ErrNotCold, size, took.read)
	}
	return nil
}
