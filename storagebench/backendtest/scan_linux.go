package backendtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// scan reads a directory into memory.
func scan(root string) (*node, error) {
	n, err := scanFile(root, map[uint64]*node{})
	if err != nil {
		return nil, fmt.Errorf("read a clone: %w", err)
	}
	return n, nil
}

func scanFile(file string, linked map[uint64]*node) (*node, error) {
	var st unix.Stat_t
	if err := unix.Lstat(file, &st); err != nil {
		return nil, &os.PathError{Op: "lstat", Path: file, Err: err}
	}
	n := &node{mode: st.Mode, uid: int(st.Uid), gid: int(st.Gid)}
	if !n.isDir() && st.Nlink > 1 {
		if other := linked[st.Ino]; other != nil {
			return other, nil
		}
		linked[st.Ino] = n
	}
	var err error
	if n.xattrs, err = xattrs(file); err != nil {
		return nil, err
	}
	switch n.kind() {
	case unix.S_IFREG:
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		n.content = string(b)
	case unix.S_IFLNK:
		if n.content, err = os.Readlink(file); err != nil {
			return nil, err
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		n.rdev = st.Rdev
	case unix.S_IFDIR:
		n.children = map[string]*node{}
		entries, err := os.ReadDir(file)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			// Of the file system, not of the root that stands on it.
			if e.Name() == "lost+found" {
				continue
			}
			if n.children[e.Name()], err = scanFile(filepath.Join(file, e.Name()), linked); err != nil {
				return nil, err
			}
			if got := n.children[e.Name()].mode; e.Type()&os.ModeType != fileMode(got)&os.ModeType {
				return nil, fmt.Errorf("%s: readdir says %v of %s, lstat %o", file, e.Type(), e.Name(), got)
			}
		}
	}
	return n, nil
}

func fileMode(mode uint32) os.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return os.ModeDir
	case unix.S_IFLNK:
		return os.ModeSymlink
	case unix.S_IFIFO:
		return os.ModeNamedPipe
	case unix.S_IFSOCK:
		return os.ModeSocket
	case unix.S_IFCHR:
		return os.ModeDevice | os.ModeCharDevice
	case unix.S_IFBLK:
		return os.ModeDevice
	}
	return 0
}

func xattrs(file string) (map[string]string, error) {
	var buffer [4096]byte // all that is tested with fits; what does not is ERANGE
	n, err := unix.Llistxattr(file, buffer[:])
	if err == unix.EOPNOTSUPP {
		return map[string]string{}, nil
	} else if err != nil {
		return nil, &os.PathError{Op: "listxattr", Path: file, Err: err}
	}
	found := map[string]string{}
	for name := range strings.SplitSeq(string(buffer[:n]), "\x00") {
		if name == "" || name == "security.selinux" {
			continue
		}
		n, err := unix.Lgetxattr(file, name, buffer[:])
		if err != nil {
			return nil, &os.PathError{Op: "getxattr " + name, Path: file, Err: err}
		}
		found[name] = string(buffer[:n])
	}
	return found, nil
}
