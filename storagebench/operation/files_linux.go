package operation

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// smallFile is the size, in bytes, up to which a file is a small one.
const smallFile = 64 << 10

// file is a regular file of the image, as a clone has it.
type file struct {
	path string
	size int64
}

// filesBetween lists the regular files below root with least to most bytes and
// one name only (what is done to one of them must not be seen at another
// path), always in the same order.
func filesBetween(ctx context.Context, root string, least, most int64) (files []file, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil || !d.Type().IsRegular() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("stat %s: %w", path, err)
		}
		if st.Nlink == 1 && least <= st.Size && st.Size <= most {
			files = append(files, file{path, st.Size})
		}
		return nil
	})
	return files, err
}

// Contents is what a root has for operations to work on.
type Contents struct {
	Files int   // regular files
	Bytes int64 // in these

	// Small counts what SmallChange, Churn and Diff choose from: files of 1 byte
	// to 64 KiB with one name only. Nested says that one is in a directory, which
	// Churn renames.
	Small  int
	Nested bool
}

// Survey counts what there is below root.
func Survey(ctx context.Context, root string) (Contents, error) {
	var c Contents
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		c.Files++
		c.Bytes += info.Size()
		return nil
	})
	if err != nil {
		return c, err
	}
	small, err := filesBetween(ctx, root, 1, smallFile)
	c.Small = len(small)
	c.Nested = slices.ContainsFunc(small, func(f file) bool { return filepath.Dir(f.path) != root })
	return c, err
}

// smallFiles gives n small files of the image, from all over it.
func smallFiles(ctx context.Context, root string, n int) ([]file, error) {
	files, err := filesBetween(ctx, root, 1, smallFile)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(files) {
		return nil, fmt.Errorf("%d small files are wanted, and the image has %d of 1 byte to %d KiB (choose fewer, or another image)", n, len(files), smallFile>>10)
	}
	return spread(files, n), nil
}

// largeFile gives the file of the image that is of a size, in bytes.
func largeFile(ctx context.Context, root string, size int64) (file, error) {
	files, err := filesBetween(ctx, root, max(1, size), max(1, size))
	if err != nil {
		return file{}, err
	}
	if len(files) == 0 {
		return file{}, fmt.Errorf("the image has no file of %d bytes (choose another size, or an image that has one)", size)
	}
	return files[0], nil
}

// spread gives n of the files, at even distances.
func spread(files []file, n int) []file {
	chosen := make([]file, n)
	for i := range chosen {
		chosen[i] = files[i*len(files)/n]
	}
	return chosen
}

// overwrite changes one byte in the middle of a file as a program does that
// has nothing open: open, pwrite, close.
func overwrite(f file, value byte) error {
	fd, err := unix.Open(f.path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	if _, err = unix.Pwrite(fd, []byte{value}, f.size/2); err != nil {
		err = fmt.Errorf("write %s: %w", f.path, err)
	}
	if closed := unix.Close(fd); err == nil && closed != nil {
		err = fmt.Errorf("close %s: %w", f.path, closed)
	}
	return err
}

// holds asserts that a file has its size still, and the value in its middle.
func holds(f file, value byte) error {
	fd, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer fd.Close()
	var b [1]byte
	if _, err := fd.ReadAt(b[:], f.size/2); err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	if info, err := fd.Stat(); err != nil || info.Size() != f.size || b[0] != value {
		return fmt.Errorf("%s: byte %d is %#x, and %#x was written to this file of %d bytes (%v)", f.path, f.size/2, b[0], value, f.size, err)
	}
	return nil
}

// syncfs writes back what is dirty in the file system of a root.
func syncfs(root string) error {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("syncfs %s: %w", root, err)
	}
	return nil
}
