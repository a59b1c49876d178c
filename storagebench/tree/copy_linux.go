package tree

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Copy makes to, which must not be there or be an empty directory, a copy of
// the directory from: types, modes, owners, times, devices, extended
// attributes, and which names are links to one file. File copies what a
// regular file of that size holds: [Contents], or a call that shares it.
func Copy(ctx context.Context, to, from string, file func(to, from *os.File, size int64) error) error {
	if err := os.Mkdir(to, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	c := copier{ctx: ctx, file: file, links: map[inode]string{}}
	if err := c.dir(to, from); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

type inode struct{ dev, ino uint64 }

type copier struct {
	ctx   context.Context
	file  func(to, from *os.File, size int64) error
	links map[inode]string // what has several names, and where its copy is
}

// dir fills a directory that is there. Its attributes come last: times would
// not last, and a default access control list would be inherited.
func (c *copier) dir(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.entry(filepath.Join(to, e.Name()), filepath.Join(from, e.Name())); err != nil {
			return err
		}
	}
	return Attributes(to, from)
}

func (c *copier) entry(to, from string) error {
	st, err := mustLstat(from)
	if err != nil {
		return err
	}
	if isType(st, unix.S_IFDIR) {
		if err := os.Mkdir(to, 0o700); err != nil {
			return err
		}
		return c.dir(to, from)
	}
	if st.Nlink > 1 {
		id := inode{st.Dev, st.Ino}
		if first := c.links[id]; first != "" {
			return os.Link(first, to)
		}
		c.links[id] = to
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		err = c.regular(to, from, st.Size)
	case unix.S_IFLNK:
		err = copyLink(to, from)
	default:
		if err = unix.Mknod(to, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)); err != nil {
			err = &fs.PathError{Op: "mknod", Path: to, Err: err}
		}
	}
	if err != nil {
		return err
	}
	return copyAttributes(to, from, st)
}

func (c *copier) regular(to, from string, size int64) error {
	source, err := openFile(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if size > 0 {
		if err := c.file(target, source, size); err != nil {
			target.Close()
			return fmt.Errorf("to %s: %w", to, err)
		}
	}
	return target.Close()
}

func copyLink(to, from string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	return os.Symlink(target, to)
}

// lstat is nil for what is not there.
func lstat(name string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	switch err := unix.Lstat(name, &st); {
	case err == unix.ENOENT, err == unix.ENOTDIR: // in base, what is above it may be a file
		return nil, nil
	case err != nil:
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return &st, nil
}

func mustLstat(name string) (*unix.Stat_t, error) {
	st, err := lstat(name)
	if err == nil && st == nil {
		err = &fs.PathError{Op: "lstat", Path: name, Err: unix.ENOENT}
	}
	return st, err
}

func isType(st *unix.Stat_t, t uint32) bool { return st.Mode&unix.S_IFMT == t }

// Attributes gives a file the owner, mode, extended attributes and times of
// another.
func Attributes(to, from string) error {
	st, err := mustLstat(from)
	if err != nil {
		return err
	}
	return copyAttributes(to, from, st)
}

// copyAttributes keeps an order: chown takes the setuid bit and
// security.capability away, an access control list sets the mode's bits, and
// all of it may touch times.
func copyAttributes(to, from string, st *unix.Stat_t) error {
	if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if !isType(st, unix.S_IFLNK) {
		if err := unix.Chmod(to, st.Mode&^unix.S_IFMT); err != nil {
			return &fs.PathError{Op: "chmod", Path: to, Err: err}
		}
	}
	names, err := xattrs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		value, err := readXattr(from, name)
		if err != nil {
			return err
		}
		if err := unix.Lsetxattr(to, name, value, 0); err != nil {
			return fmt.Errorf("setxattr %s of %s: %w", name, to, err)
		}
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: to, Err: err}
	}
	return nil
}
