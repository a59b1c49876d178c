package backendtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/tree"
)

// A change of the fixture, and the list that must come of it.
type change struct {
	name string
	make func(in) error
	want []storagebench.Change
}

// in gives paths inside a clone.
type in func(string) string

func added(p string) storagebench.Change    { return storagebench.Change{Path: p, Kind: tree.Added} }
func modified(p string) storagebench.Change { return storagebench.Change{Path: p, Kind: tree.Modified} }
func deleted(p string) storagebench.Change  { return storagebench.Change{Path: p, Kind: tree.Deleted} }

func changeTable() []change {
	list := func(changes ...storagebench.Change) []storagebench.Change { return changes }
	return []change{
		{"nothing", func(in in) error { return nil }, nil},
		{"a file is added", func(in in) error { return write(in("/etc/new"), "x") }, list(added("/etc/new"))},
		{"an empty directory is added", func(in in) error { return os.Mkdir(in("/new"), 0o755) }, list(added("/new"))},
		{"a directory with what it holds is added", func(in in) error {
			return first(os.Mkdir(in("/new"), 0o755), write(in("/new/f"), ""), os.Mkdir(in("/new/d"), 0o755), os.Symlink("x", in("/new/d/l")))
		}, list(added("/new"), added("/new/d"), added("/new/d/l"), added("/new/f"))},
		{"every type is added", func(in in) error {
			return first(unix.Mkfifo(in("/fifo"), 0o600), unix.Mknod(in("/char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))),
				unix.Mknod(in("/block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 200))), unix.Mknod(in("/sock"), unix.S_IFSOCK|0o600, 0), os.Symlink("gone", in("/dangling")))
		}, list(added("/block"), added("/char"), added("/dangling"), added("/fifo"), added("/sock"))},
		{"one byte of a large file", func(in in) error { return writeAt(in("/big"), "X", 123_456) }, list(modified("/big"))},
		{"one byte, and the times put back", func(in in) error {
			var st unix.Stat_t
			return first(unix.Stat(in("/big"), &st), writeAt(in("/big"), "X", 123_456),
				unix.UtimesNanoAt(unix.AT_FDCWD, in("/big"), []unix.Timespec{st.Atim, st.Mtim}, 0))
		}, list(modified("/big"))},
		{"a file is longer", func(in in) error { return writeAt(in("/etc/passwd"), "x", 5) }, list(modified("/etc/passwd"))},
		{"a file is cut", func(in in) error { return os.Truncate(in("/big"), 4096) }, list(modified("/big"))},
		{"a file is longer by a hole", func(in in) error { return os.Truncate(in("/empty"), 1<<20) }, list(modified("/empty"))},
		{"a file of a middle layer", func(in in) error { return write(in("/etc/middle"), "x") }, list(modified("/etc/middle"))},
		{"the same content", func(in in) error { return writeAt(in("/etc/passwd"), "root\n", 0) }, nil},
		{"the same content in a file made anew", func(in in) error {
			return first(os.Remove(in("/etc/passwd")), write(in("/etc/passwd"), "root\n"))
		}, nil},
		{"the same content by a rename", func(in in) error {
			return first(write(in("/etc/passwd.new"), "root\n"), os.Rename(in("/etc/passwd.new"), in("/etc/passwd")))
		}, nil},
		{"times only", func(in in) error {
			return first(os.Chtimes(in("/etc/passwd"), time.Time{}, time.Unix(1, 0)), os.Chtimes(in("/etc"), time.Time{}, time.Unix(1, 0)))
		}, nil},
		{"there and back", func(in in) error {
			return first(os.Rename(in("/etc/passwd"), in("/p")), os.Rename(in("/p"), in("/etc/passwd")), write(in("/t"), ""), os.Remove(in("/t")))
		}, nil},
		{"a file is deleted", func(in in) error { return os.Remove(in("/etc/passwd")) }, list(deleted("/etc/passwd"))},
		{"what layers have over one another is deleted", func(in in) error { return os.Remove(in("/etc/below")) }, list(deleted("/etc/below"))},
		{"a directory is deleted", func(in in) error { return os.RemoveAll(in("/tree")) }, list(deleted("/tree"))},
		{"what was whited out is there again", func(in in) error { return write(in("/etc/gone"), "1") }, list(added("/etc/gone"))},
		{"a directory is made anew, empty", func(in in) error {
			return first(os.RemoveAll(in("/tree/b")), os.Mkdir(in("/tree/b"), 0o755))
		}, list(deleted("/tree/b/3"), deleted("/tree/b/l"))},
		{"a directory is made anew, with other things", func(in in) error {
			return first(os.RemoveAll(in("/remade")), os.Mkdir(in("/remade"), 0o755), os.Mkdir(in("/remade/dir"), 0o755), write(in("/remade/old"), "old"))
		}, list(deleted("/remade/dir/new"), deleted("/remade/new"), added("/remade/old"))},
		{"chmod", func(in in) error { return os.Chmod(in("/etc/passwd"), 0o600) }, list(modified("/etc/passwd"))},
		{"chmod of a directory", func(in in) error { return os.Chmod(in("/tree"), 0o700) }, list(modified("/tree"))},
		{"chmod of the root", func(in in) error { return os.Chmod(in("/"), 0o711) }, list(modified("/"))},
		{"chmod to what it was", func(in in) error { return os.Chmod(in("/etc/passwd"), 0o644) }, nil},
		{"chown", func(in in) error { return os.Lchown(in("/etc/passwd"), 0, 7) }, list(modified("/etc/passwd"))},
		{"chown of a link", func(in in) error { return os.Lchown(in("/tree/b/l"), 7, 7) }, list(modified("/tree/b/l"))},
		{"an xattr is set", func(in in) error { return unix.Setxattr(in("/etc/passwd"), "user.x", []byte("1"), 0) }, list(modified("/etc/passwd"))},
		{"an xattr is another", func(in in) error { return unix.Setxattr(in("/home"), "user.note", []byte("OF a directory"), 0) }, list(modified("/home"))},
		{"an xattr is removed", func(in in) error { return unix.Removexattr(in("/home/file"), "trusted.note") }, list(modified("/home/file"))},
		{"a capability is removed", func(in in) error { return unix.Removexattr(in("/bin/ping"), "security.capability") }, list(modified("/bin/ping"))},
		{"a link goes elsewhere", func(in in) error {
			return first(os.Remove(in("/bin/sh")), os.Symlink("toybox!", in("/bin/sh")))
		}, list(modified("/bin/sh"))},
		{"a file becomes a link", func(in in) error {
			return first(os.Remove(in("/etc/passwd")), os.Symlink("p", in("/etc/passwd")))
		}, list(modified("/etc/passwd"))},
		{"a file becomes a directory", func(in in) error {
			return first(os.Remove(in("/etc/passwd")), os.Mkdir(in("/etc/passwd"), 0o755), write(in("/etc/passwd/f"), ""))
		}, list(modified("/etc/passwd"), added("/etc/passwd/f"))},
		{"a directory becomes a file", func(in in) error {
			return first(os.RemoveAll(in("/tree")), write(in("/tree"), ""))
		}, list(modified("/tree"))},
		{"a device has another number", func(in in) error {
			return first(os.Remove(in("/home/null")), unix.Mknod(in("/home/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))), os.Chmod(in("/home/null"), 0o666))
		}, list(modified("/home/null"))},
		{"a file is renamed", func(in in) error { return os.Rename(in("/big"), in("/etc/big")) }, list(deleted("/big"), added("/etc/big"))},
		{"a file is renamed over another", func(in in) error { return os.Rename(in("/big"), in("/etc/passwd")) }, list(deleted("/big"), modified("/etc/passwd"))},
		{"a directory is renamed", func(in in) error { return move(in("/tree/b"), in("/b")) },
			list(added("/b"), added("/b/3"), added("/b/l"), deleted("/tree/b"))},
		{"a directory of two layers is renamed", func(in in) error { return move(in("/tree"), in("/etc/tree")) },
			list(added("/etc/tree"), added("/etc/tree/a"), added("/etc/tree/a/1"), added("/etc/tree/a/2"), added("/etc/tree/a/2.hard"),
				added("/etc/tree/b"), added("/etc/tree/b/3"), added("/etc/tree/b/l"), deleted("/tree"))},
		{"two directories change places", func(in in) error {
			return first(move(in("/tree/a"), in("/x")), move(in("/tree/b"), in("/tree/a")), move(in("/x"), in("/tree/b")))
		}, list(deleted("/tree/a/1"), deleted("/tree/a/2"), deleted("/tree/a/2.hard"), added("/tree/a/3"), added("/tree/a/l"),
			added("/tree/b/1"), added("/tree/b/2"), added("/tree/b/2.hard"), deleted("/tree/b/3"), deleted("/tree/b/l"))},
		{"a hard link is added", func(in in) error { return os.Link(in("/etc/passwd"), in("/link")) }, list(added("/link"))},
		{"a hard link is removed", func(in in) error { return os.Remove(in("/bin/su.hard")) }, list(deleted("/bin/su.hard"))},
		{"a file is copied over its link", func(in in) error {
			return first(os.Remove(in("/bin/su")), os.Link(in("/bin/su.hard"), in("/bin/su")))
		}, nil},
		{"a name of odd bytes", func(in in) error {
			return first(os.Remove(in("/odd \n\xff\\040ä name")), write(in("/new \n\xfe\\011"), ""))
		}, list(added("/new \n\xfe\\011"), deleted("/odd \n\xff\\040ä name"))},
		{"in order of bytes, not of directories", func(in in) error {
			return first(write(in("/tree/a/3"), ""), write(in("/tree/a.b"), ""), write(in("/tree/a-b"), ""))
		}, list(added("/tree/a-b"), added("/tree/a.b"), added("/tree/a/3"))},
		{"not synced, and through a map", func(in in) error { return mapped(in("/big"), 200_000, 'X') }, list(modified("/big"))},
		{"a file that is deleted and still open", func(in in) error {
			f, err := os.OpenFile(in("/big"), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("X")
			return first(err, os.Remove(in("/big")))
		}, list(deleted("/big"))},
	}
}

func testChanges(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: poolSize})
	p.with(fixture())
	for _, change := range changeTable() {
		t.Run(change.name, func(t *testing.T) {
			p := &pool{Pool: p.Pool, t: t, dir: p.dir}
			root := p.clone("c")
			defer p.remove("c")
			if err := change.make(func(name string) string { return filepath.Join(root, name) }); err != nil {
				t.Fatal(err)
			}
			p.expect("c", change.want)
			p.expect("c", change.want) // asking changes nothing
		})
	}
}

// first is the first error of steps that were all taken.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// write makes a file, or writes one anew, whatever the umask.
func write(file, content string) error {
	return first(os.WriteFile(file, []byte(content), 0o644), os.Chmod(file, 0o644))
}

func writeAt(file, content string, at int64) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte(content), at)
	return err
}

func mapped(file string, at int, value byte) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	m[at] = value
	return unix.Munmap(m)
}

// move renames as mv(1) does: file by file where a directory cannot be renamed
// because the image has it (overlayfs.rst, "renaming directories": EXDEV).
func move(from, to string) error {
	err := unix.Rename(from, to)
	if err != unix.EXDEV {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return err
	}
	attrs, err := xattrs(from)
	if err != nil {
		return err
	}
	if err := first(os.Mkdir(to, 0o700), os.Lchown(to, int(st.Uid), int(st.Gid)), unix.Chmod(to, st.Mode&0o7777)); err != nil {
		return err
	}
	for name, value := range attrs {
		if err := unix.Setxattr(to, name, []byte(value), 0); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := move(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(from)
}
