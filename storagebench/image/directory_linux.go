package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
)

// Directory is an image of one layer, what a directory holds: without what is
// mounted below it, and without sockets, which no archive has.
func Directory(path string) (storagebench.Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image: %w", err)
	}
	if !info.IsDir() {
		return storagebench.Image{}, fmt.Errorf("image %s is no directory", path)
	}
	return storagebench.Image{
		Name: "dir:" + path,
		Layers: []storagebench.Layer{{Open: func() (io.ReadCloser, error) {
			return written(func(w io.Writer) error { return writeDirectory(w, path) }), nil
		}}},
	}, nil
}

type inode struct{ dev, ino uint64 }

func writeDirectory(w io.Writer, root string) error {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(w)
	linked := map[inode]string{}
	var device uint64
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if file == root {
			device = uint64(st.Dev)
		}
		name, err := filepath.Rel(root, file)
		switch {
		case err != nil:
			return err
		case info.Mode()&fs.ModeSocket != 0:
			return nil
		case strings.HasPrefix(d.Name(), ".wh.") && file != root:
			return fmt.Errorf("%s has the name of a whiteout: no layer can hold it", file)
		}
		if err := writeFile(archive, file, name, info, linked); err != nil {
			return fmt.Errorf("archive %s: %w", file, err)
		}
		if uint64(st.Dev) != device {
			return filepath.SkipDir // the mount point itself is of the root
		}
		return nil
	})
	return errors.Join(err, archive.Close())
}

func writeFile(archive *tar.Writer, file, name string, info fs.FileInfo, linked map[inode]string) error {
	target := ""
	var err error
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Format = name, tar.FormatPAX
	h.Uname, h.Gname = "", "" // numbers are the truth
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	if info.IsDir() {
		h.Name += "/"
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Nlink > 1 && !info.IsDir() {
		id := inode{uint64(st.Dev), st.Ino}
		if first, ok := linked[id]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return archive.WriteHeader(h)
		}
		linked[id] = name
	}
	if h.PAXRecords, err = xattrs(file); err != nil {
		return err
	}
	if err := archive.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(archive, f, h.Size); err == io.EOF {
		return errors.New("it became shorter while it was read")
	} else if err != nil {
		return err
	}
	return nil
}

// xattrs are those of a file, as an archive's records.
func xattrs(file string) (map[string]string, error) {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX, xattr(7)
	n, err := unix.Llistxattr(file, list)
	if err == unix.EOPNOTSUPP {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list xattrs: %w", err)
	}
	records := map[string]string{}
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		// The label is the host's; overlayfs's marks are of another mount.
		if name == "" || name == "security.selinux" || strings.HasPrefix(name, "trusted.overlay.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(file, name, value)
		if err != nil {
			return nil, fmt.Errorf("get xattr %s: %w", name, err)
		}
		records["SCHILY.xattr."+name] = string(value[:n])
	}
	return records, nil
}
