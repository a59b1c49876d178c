package tree

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Compare lists how clone differs from base, in order of path. It looks at
// everything, and reads what files hold unless lstat(2) tells: by their type
// or size, or because they are one file.
//
// Left out are the extended attributes trusted.overlay.*, user.overlay.* and
// user.fuseoverlayfs.*, marks of union file systems on their layers, and
// security.selinux, which the host's policy gives.
func Compare(ctx context.Context, base, clone string) ([]Change, error) {
	return compare(comparison{ctx: ctx, base: base, clone: clone}, nil)
}

// CompareSince is Compare for a clone that nobody had written to when since
// was taken. A file that has not changed its status after that is as it was:
// nobody can set a ctime, and link, rename and all that changes the file
// itself set it (inode(7)). What base has there is not looked at, which
// otherwise would be read from its device, inode by inode.
//
// But the files below a directory that was renamed keep theirs. A directory
// that changed, in one that changed, may be such a one, unless it has the
// inode number that it has in base; what is below it is looked at as Compare
// does. Therefore base and clone must be on one file system, or the clone's
// be made from that of base, with its inode numbers.
func CompareSince(ctx context.Context, base, clone string, since Mark) ([]Change, error) {
	return compare(comparison{ctx: ctx, base: base, clone: clone, since: &since}, nil)
}

// CompareSinceAndXattrs is CompareSince for a file system that does not write
// down when extended attributes changed: those of all files are compared.
func CompareSinceAndXattrs(ctx context.Context, base, clone string, since Mark) ([]Change, error) {
	return compare(comparison{ctx: ctx, base: base, clone: clone, since: &since, xattrs: true}, nil)
}

// ComparePaths compares only the candidates, paths absolute inside the root:
// all that has changed, and any others. One that ends in a slash stands for
// all that is below it in base or clone, too, as after a rename. What is below
// a directory that is new needs no mention, and the root itself ("/") is always
// compared.
func ComparePaths(ctx context.Context, base, clone string, candidates []string) ([]Change, error) {
	return compare(comparison{ctx: ctx, base: base, clone: clone}, selected(candidates))
}

func compare(c comparison, s selection) ([]Change, error) {
	if err := c.entry("/", both, s, state{}); err != nil {
		return nil, fmt.Errorf("compare %s with %s: %w", c.clone, c.base, err)
	}
	slices.SortFunc(c.changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return c.changes, nil
}

type comparison struct {
	ctx         context.Context
	base, clone string
	since       *Mark // nil: before all
	xattrs      bool  // of what did not change since, too
	changes     []Change
}

// state is what is known of the directory that an entry is in.
type state struct {
	changed bool // names came or went, or it was renamed
	moved   bool // it may stand where another one stood: old files may be in new places
}

// sides says where a name is listed. Lists are believed rather than lstat: a
// union in user space may find by name what it has hidden.
type sides uint8

const (
	inBase sides = 1 << iota
	inClone
	both = inBase | inClone
)

func (c *comparison) add(at string, kind ChangeKind) {
	c.changes = append(c.changes, Change{at, kind})
}

func (c *comparison) entry(at string, listed sides, s selection, in state) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	var was, is *unix.Stat_t
	var err error
	if listed&inClone != 0 {
		if is, err = lstat(c.clone + at); err != nil {
			return err
		}
	}
	changed := c.since == nil || is != nil && c.since.reached(is.Ctim)
	if listed == both && is != nil && !changed && !in.moved {
		return c.untouched(at, is)
	}
	if listed&inBase != 0 {
		if was, err = lstat(c.base + at); err != nil {
			return err
		}
	}
	switch {
	case was == nil && is == nil:
		return nil
	case is == nil:
		c.add(at, Deleted)
		return nil
	case was == nil:
		c.add(at, Added)
		return c.below(at, inClone, is, nil, state{})
	case was.Mode&unix.S_IFMT != is.Mode&unix.S_IFMT:
		c.add(at, Modified)
		if isType(was, unix.S_IFDIR) {
			return nil
		}
		return c.below(at, inClone, is, nil, state{})
	}
	same, err := sameFile(c.base+at, c.clone+at, was, is)
	if err != nil {
		return err
	}
	if !same {
		c.add(at, Modified)
	}
	moved := (in.moved || in.changed && changed) && was.Ino != is.Ino
	return c.below(at, both, is, s, state{changed, moved})
}

// untouched is what has not changed since, and is where it was.
func (c *comparison) untouched(at string, is *unix.Stat_t) error {
	if c.xattrs {
		same, err := sameXattrs(c.base+at, c.clone+at)
		if err != nil {
			return err
		}
		if !same {
			c.add(at, Modified)
		}
	}
	return c.below(at, both, is, nil, state{})
}

// below goes on if there is a directory: in the clone alone if it is new.
func (c *comparison) below(at string, listed sides, is *unix.Stat_t, s selection, in state) error {
	if !isType(is, unix.S_IFDIR) {
		return nil
	}
	names := map[string]sides{}
	for name := range s {
		names[name] = both
	}
	if s == nil {
		// No name came or went where nothing changed: the clone has those of both.
		known := listed == both && in == (state{})
		if listed&inBase != 0 && !known {
			if err := list(c.base+at, inBase, names); err != nil {
				return err
			}
		}
		side := inClone
		if known {
			side = both
		}
		if err := list(c.clone+at, side, names); err != nil {
			return err
		}
	}
	for name, listed := range names {
		if err := c.entry(path.Join(at, name), listed, s[name], in); err != nil {
			return err
		}
	}
	return nil
}

func list(dir string, side sides, names map[string]sides) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	found, err := f.Readdirnames(-1)
	for _, name := range found {
		names[name] |= side
	}
	return err
}

// sameFile compares two files of one type: what storagebench.Change says can
// be seen.
func sameFile(a, b string, was, is *unix.Stat_t) (bool, error) {
	switch {
	case was.Dev == is.Dev && was.Ino == is.Ino:
		return true, nil
	case was.Mode != is.Mode, was.Uid != is.Uid, was.Gid != is.Gid:
		return false, nil
	case isType(was, unix.S_IFREG) && was.Size != is.Size:
		return false, nil
	case (isType(was, unix.S_IFCHR) || isType(was, unix.S_IFBLK)) && was.Rdev != is.Rdev:
		return false, nil
	}
	if same, err := sameXattrs(a, b); err != nil || !same {
		return false, err
	}
	switch {
	case isType(was, unix.S_IFREG):
		return sameContents(a, b, was.Size)
	case isType(was, unix.S_IFLNK):
		return sameLink(a, b)
	}
	return true, nil
}

func sameLink(a, b string) (bool, error) {
	ta, err := os.Readlink(a)
	if err != nil {
		return false, err
	}
	tb, err := os.Readlink(b)
	return ta == tb, err
}
