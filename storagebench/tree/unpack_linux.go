package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Unpack puts a layer, an uncompressed tar archive, into dir: contents, modes,
// owners, times, links, hard links, devices and extended attributes
// (SCHILY.xattr). An entry takes the place of what is there, but for a
// directory that is to be a directory again. Whatever the archive says,
// nothing outside of dir is made, changed or read; nobody else may change dir
// meanwhile. The archive is read to its end. An error leaves what was unpacked
// so far.
//
// A directory that the archive needs and does not list is as in the layers
// below, of which the topmost is named first; without one it has mode 0755.
//
// Without root all files belong to the caller, whatever the archive says.
func Unpack(ctx context.Context, dir string, layer io.Reader, w Whiteouts, below ...string) error {
	r, err := openRoot(dir)
	if err != nil {
		return err
	}
	defer r.close()
	u := &unpacker{
		root:      r,
		whiteouts: w,
		chown:     os.Geteuid() == 0,
		layer:     make(map[string]bool),
		dirs:      make(map[string]*tar.Header),
		buffer:    make([]byte, 256<<10),
	}
	source := &cancelled{ctx, layer}
	archive := tar.NewReader(source)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("read the layer's archive: %w", err)
		}
		if err := u.entry(header, archive); err != nil {
			return fmt.Errorf("unpack %q into %s: %w", header.Name, dir, err)
		}
	}
	if err := errors.Join(u.inherit(below), u.finish()); err != nil {
		return fmt.Errorf("unpack into %s: %w", dir, err)
	}
	// What follows the archive's end belongs to the layer's digest.
	_, err = io.Copy(io.Discard, source)
	return err
}

type unpacker struct {
	*root
	whiteouts Whiteouts
	chown     bool

	layer  map[string]bool        // what is of this layer: its whiteouts do not hide it
	dirs   map[string]*tar.Header // directories get their attributes when all is in them
	buffer []byte
}

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := cleanName(header.Name)
	if err != nil {
		return err
	}
	kind, target, err := classify(name)
	switch {
	case err != nil:
		return err
	case kind == meta:
		return nil
	case kind == whiteout && u.whiteouts != AUFS:
		return u.hide(target)
	case kind == opaque && u.whiteouts != AUFS:
		return u.hideBelow(target)
	}
	if err := u.mkdirs(name); err != nil {
		return err
	}
	for above := name; above != "."; above = path.Dir(above) {
		u.layer[above] = true
	}
	if header.Typeflag == tar.TypeDir {
		return u.directory(name, header)
	}
	if name == "" {
		return fmt.Errorf("the root is to be something else than a directory")
	}
	if err := u.remove(name); err != nil {
		return err
	}
	return u.file(name, header, content)
}

// directory makes a directory, or takes over the one that is there.
func (u *unpacker) directory(name string, header *tar.Header) error {
	st, err := u.stat(name)
	switch {
	case err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		// The attributes of the layer below are not this directory's, and its
		// default ACL would be inherited by what is about to be made in it.
		u.dirs[name] = header
		return u.dropXattrs(name)
	case err == nil:
		if err := u.remove(name); err != nil {
			return err
		}
	case !missing(err):
		return err
	}
	hidden := err == nil && u.isWhiteout(st)
	fd, base, err := u.at(name)
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(fd, base, 0o700); err != nil {
		return err
	}
	u.dirs[name] = header
	if hidden {
		return u.setOpaque(name)
	}
	return nil
}

func (u *unpacker) file(name string, header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeLink:
		return u.link(name, header.Linkname)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		if err := u.regular(name, content); err != nil {
			return err
		}
	default:
		fd, base, err := u.at(name)
		if err != nil {
			return err
		}
		if err := special(fd, base, header); err != nil {
			return err
		}
	}
	return u.attributes(name, header)
}

// link makes a hard link to a file of the archive, or of a layer below.
func (u *unpacker) link(name, linkname string) error {
	target, err := cleanName(linkname)
	if err != nil {
		return fmt.Errorf("a hard link to %q: %w", linkname, err)
	}
	dir, base, err := u.at(target)
	if err != nil {
		return fmt.Errorf("a hard link to %q: %w", linkname, err)
	}
	// u.at closes its last descriptor when it opens another.
	dir, err = unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	to, toBase, err := u.at(name)
	if err != nil {
		return err
	}
	if err := unix.Linkat(dir, base, to, toBase, 0); err != nil {
		return fmt.Errorf("a hard link to %q: %w", linkname, err)
	}
	return nil
}

func (u *unpacker) regular(name string, content io.Reader) error {
	dir, base, err := u.at(name)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), name)
	// Hides os.File.ReadFrom, which would make a buffer for each file.
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, content, u.buffer)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// special makes what has no content.
func special(dir int, base string, header *tar.Header) error {
	switch header.Typeflag {
	case tar.TypeSymlink:
		return unix.Symlinkat(header.Linkname, dir, base)
	case tar.TypeFifo:
		return unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0)
	case tar.TypeChar, tar.TypeBlock:
		kind := uint32(unix.S_IFCHR)
		if header.Typeflag == tar.TypeBlock {
			kind = unix.S_IFBLK
		}
		if uint64(header.Devmajor) > 1<<12-1 || uint64(header.Devminor) > 1<<20-1 {
			return fmt.Errorf("no device has the number %d:%d", header.Devmajor, header.Devminor)
		}
		return unix.Mknodat(dir, base, kind|0o600, int(unix.Mkdev(uint32(header.Devmajor), uint32(header.Devminor))))
	}
	return fmt.Errorf("entries of type %q are not known", header.Typeflag)
}

// A cancelled reader gives up when the context does.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}
