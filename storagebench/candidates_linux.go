package storagebench

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// candidates lists what may differ from the image, for tree.ComparePaths: all
// that the upper directory of a union holds, without a look at more than
// names and the marks of directories. It knows the marks of all unions alike,
// as a candidate too many does no harm:
//   - overlay's whiteout is a character device 0/0 under the name that is gone,
//     and an attribute of a directory says that nothing below shows through, or
//     that it was renamed (Documentation/filesystems/overlayfs.rst);
//   - aufs, and fuse-overlayfs where it may not make devices, put an empty file
//     .wh.NAME beside, and .wh..wh..opq into a directory (aufs(5)). Where such
//     names are marks, the union has no files of these names.
func candidates(upper string, marks bool) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(upper, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := path.Join("/", strings.TrimPrefix(file, upper))
		dir, name := path.Split(at)
		hidden, mark := strings.CutPrefix(name, ".wh.")
		switch {
		case !marks || !mark:
			paths = append(paths, at)
		case name == ".wh..wh..opq":
			paths = append(paths, dir)
		case d.IsDir(): // .wh..wh.orph, .wh..wh.plnk: aufs's own
			return fs.SkipDir
		default:
			paths = append(paths, dir+hidden)
		}
		if d.IsDir() && hasMark(file) {
			paths = append(paths, at+"/")
		}
		return nil
	})
	return paths, err
}

// hasMark says whether a directory is opaque or renamed. What cannot be listed
// has no marks.
func hasMark(dir string) bool {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX, xattr(7)
	n, _ := unix.Llistxattr(dir, list)
	for attr := range strings.SplitSeq(string(list[:max(n, 0)]), "\x00") {
		for _, prefix := range []string{"trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."} {
			if mark, ok := strings.CutPrefix(attr, prefix); ok && (mark == "opaque" || mark == "redirect") {
				return true
			}
		}
	}
	return false
}

// hardLinked says whether a file has other names.
func hardLinked(file string) bool {
	var st unix.Stat_t
	return unix.Lstat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1
}
