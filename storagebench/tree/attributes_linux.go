package tree

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const paxXattr = "SCHILY.xattr."

// attributes gives name what the header says. The owner comes first: changing
// it takes away set-id bits and capabilities (chown(2)).
func (u *unpacker) attributes(name string, header *tar.Header) error {
	fd, base, err := u.at(name)
	if err != nil {
		return err
	}
	if u.chown {
		for _, id := range []int{header.Uid, header.Gid} {
			if id < 0 || int64(id) >= math.MaxUint32 {
				return fmt.Errorf("nobody has the id %d", id)
			}
		}
		if err := unix.Fchownat(fd, base, header.Uid, header.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("chown to %d:%d: %w", header.Uid, header.Gid, err)
		}
	}
	if header.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(fd, base, uint32(header.Mode)&0o7777, 0); err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
	}
	for record, value := range header.PAXRecords {
		xattr, ok := strings.CutPrefix(record, paxXattr)
		if !ok {
			continue
		}
		if ofOverlay(xattr) {
			return fmt.Errorf("xattr %s: it is overlayfs's own, and no image's", xattr)
		}
		if err := unix.Lsetxattr(entry(fd, base), xattr, []byte(value), 0); err != nil {
			return fmt.Errorf("set xattr %s: %w", xattr, err)
		}
	}
	modified, err := unix.TimeToTimespec(header.ModTime)
	if err != nil {
		return fmt.Errorf("time %v: %w", header.ModTime, err)
	}
	return unix.UtimesNanoAt(fd, base, []unix.Timespec{modified, modified}, unix.AT_SYMLINK_NOFOLLOW)
}

// finish gives directories their attributes, the deepest first: what is made
// in a directory changes its times, and needs its owner's permission.
func (u *unpacker) finish() error {
	deepest := func(a, b string) int { return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), cmp.Compare(b, a)) }
	for _, name := range slices.SortedFunc(maps.Keys(u.dirs), deepest) {
		st, err := u.stat(name)
		if missing(err) || err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue // a later entry took its place
		} else if err == nil {
			err = u.attributes(name, u.dirs[name])
		}
		if err != nil {
			return fmt.Errorf("directory %q: %w", name, err)
		}
	}
	return nil
}

// dropXattrs takes away what a directory was given by the layers below.
func (u *unpacker) dropXattrs(name string) error {
	fd, base, err := u.at(name)
	if err != nil {
		return err
	}
	path := entry(fd, base)
	list := make([]byte, 64<<10) // XATTR_LIST_MAX, xattr(7)
	n, err := unix.Llistxattr(path, list)
	if err == unix.EOPNOTSUPP {
		return nil
	} else if err != nil {
		return fmt.Errorf("list xattrs: %w", err)
	}
	for xattr := range strings.SplitSeq(string(list[:n]), "\x00") {
		// The label is the host's policy's. Overlay's marks were made here.
		if xattr == "" || xattr == "security.selinux" || ofOverlay(xattr) {
			continue
		}
		if err := unix.Lremovexattr(path, xattr); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("remove xattr %s: %w", xattr, err)
		}
	}
	return nil
}

func ofOverlay(xattr string) bool {
	return strings.HasPrefix(xattr, "trusted.overlay.") || strings.HasPrefix(xattr, "user.overlay.")
}
