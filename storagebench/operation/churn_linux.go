package operation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/tree"
)

// ChurnOptions say how much is done.
type ChurnOptions struct {
	Files int // created, renamed and removed: the image must have twice as many small files
}

// Churn creates small files in directories of the image, renames files of the
// image and removes others, all in a new clone; and renames a directory of the
// image in another, as mv does: by copying where the system call is refused.
//
//	create            op/s  creating a file and writing 1 KiB to it
//	rename            op/s  giving a file of the image another name
//	unlink            op/s  removing a file of the image
//	rename_directory  s
func Churn(ctx context.Context, t Target, o ChurnOptions) (made []Measurement, err error) {
	err = t.withClone(ctx, "churn", func(root string) error {
		files, err := smallFiles(ctx, root, 2*o.Files)
		if err != nil {
			return err
		}
		made, err = t.churn(ctx, root, files)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("churn: %w", err)
	}
	err = t.withClone(ctx, "rename-directory", func(root string) error {
		m, err := renameDirectory(ctx, root)
		made = append(made, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("churn: rename a directory: %w", err)
	}
	return made, nil
}

// churn creates a file beside every second file, renames that, and removes the
// others.
func (t Target) churn(ctx context.Context, root string, files []file) ([]Measurement, error) {
	n := len(files) / 2
	kept, renamed, gone, created := make([]file, n), make([]file, n), make([]file, n), make([]file, n)
	before := make([][]extent, n)
	for i := range n {
		kept[i], gone[i] = files[2*i], files[2*i+1]
		renamed[i] = file{kept[i].path + ".renamed", kept[i].size}
		created[i] = file{kept[i].path + ".created", 1 << 10}
		var err error
		if before[i], err = extents(kept[i].path); err != nil {
			return nil, err
		}
	}
	if err := t.prepare(ctx, kept, false); err != nil {
		return nil, err
	}
	content := make([]byte, 1<<10)
	creating, err := each(ctx, created, func(_ int, f file) error { return create(f.path, content) })
	if err != nil {
		return nil, err
	}
	var renaming time.Duration
	took, err := t.during(ctx, func() (err error) {
		renaming, err = each(ctx, kept, func(i int, f file) error { return unix.Rename(f.path, renamed[i].path) })
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := t.copied(root, metadataCopies(t.Info), renamed, before, took); err != nil {
		return nil, err
	}
	unlinking, err := each(ctx, gone, func(_ int, f file) error { return unix.Unlink(f.path) })
	if err != nil {
		return nil, err
	}
	for i := range n {
		if err := errors.Join(is(created[i]), is(renamed[i]), isNot(kept[i]), isNot(gone[i])); err != nil {
			return nil, err
		}
	}
	return []Measurement{rate("create", n, creating), rate("rename", n, renaming), rate("unlink", n, unlinking)}, nil
}

// each calls do for each file, and says how long all took together.
func each(ctx context.Context, files []file, do func(int, file) error) (time.Duration, error) {
	start := time.Now()
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := do(i, f); err != nil {
			return 0, fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return time.Since(start), nil
}

func create(path string, content []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, content)
	return errors.Join(err, unix.Close(fd))
}

// is and isNot assert that a file is there, and that none is.
func is(f file) error {
	info, err := os.Lstat(f.path)
	if err == nil && info.Size() != f.size {
		err = fmt.Errorf("%s has %d bytes, and should have %d", f.path, info.Size(), f.size)
	}
	return err
}

func isNot(f file) error {
	if _, err := os.Lstat(f.path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s should not be there (%v)", f.path, err)
	}
	return nil
}

// renameDirectory renames the directory that a file from the middle of the
// image is in. An overlay refuses that (EXDEV) where it has no redirect_dir:
// "Renaming directories", overlayfs.rst.
func renameDirectory(ctx context.Context, root string) (Measurement, error) {
	files, err := filesBetween(ctx, root, 1, smallFile)
	if err != nil {
		return Measurement{}, err
	}
	var from string
	for _, f := range files[len(files)/2:] {
		if from = filepath.Dir(f.path); from != root {
			break
		}
	}
	if from == "" || from == root {
		return Measurement{}, fmt.Errorf("%s has no directory with small files (choose another image)", root)
	}
	to := from + ".renamed"
	start := time.Now()
	err = unix.Rename(from, to)
	if errors.Is(err, unix.EXDEV) {
		if err = tree.Copy(ctx, to, from, tree.Contents); err == nil {
			err = os.RemoveAll(from)
		}
	}
	took := time.Since(start)
	if err != nil {
		return Measurement{}, fmt.Errorf("rename %s: %w", from, err)
	}
	if err := isNot(file{path: from}); err != nil {
		return Measurement{}, err
	}
	return seconds("rename_directory", took), nil
}
