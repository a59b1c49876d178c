package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// notOurs are the prefixes of extended attributes that are marks of a union
// file system on its layers, or a label that the host's policy gives by place:
// no part of what an image says.
var notOurs = []string{"trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "security.selinux"}

// xattrs lists the names of a file's extended attributes, sorted, without
// those that are not the image's.
func xattrs(name string) ([]string, error) {
	list, err := grown(func(b []byte) (int, error) { return unix.Llistxattr(name, b) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listxattr %s: %w", name, err)
	}
	var names []string
	for attr := range strings.SplitSeq(string(list), "\x00") {
		if attr != "" && !slices.ContainsFunc(notOurs, func(p string) bool { return strings.HasPrefix(attr, p) }) {
			names = append(names, attr)
		}
	}
	slices.Sort(names)
	return names, nil
}

func readXattr(name, attr string) ([]byte, error) {
	value, err := grown(func(b []byte) (int, error) { return unix.Lgetxattr(name, attr, b) })
	if err != nil {
		return nil, fmt.Errorf("getxattr %s of %s: %w", attr, name, err)
	}
	return value, nil
}

// grown reads into a buffer that is large enough for nearly all, and else as
// large as it has to be.
func grown(read func([]byte) (int, error)) ([]byte, error) {
	buffer := make([]byte, 256)
	for {
		n, err := read(buffer)
		if err == nil {
			return buffer[:n], nil
		}
		if err != unix.ERANGE {
			return nil, err
		}
		if n, err = read(nil); err != nil {
			return nil, err
		}
		buffer = make([]byte, n)
	}
}

func sameXattrs(a, b string) (bool, error) {
	na, err := xattrs(a)
	if err != nil {
		return false, err
	}
	nb, err := xattrs(b)
	if err != nil || !slices.Equal(na, nb) {
		return false, err
	}
	for _, name := range na {
		va, err := readXattr(a, name)
		if err != nil {
			return false, err
		}
		vb, err := readXattr(b, name)
		if err != nil || !bytes.Equal(va, vb) {
			return false, err
		}
	}
	return true, nil
}
