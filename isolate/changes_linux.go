package isolate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Change is a file, of whatever type, that a container has otherwise than its
// image.
type Change struct {
	Path string // absolute, inside the root
	Kind ChangeKind
}

// ChangeKind says what became of it.
type ChangeKind string

const (
	Added    ChangeKind = "add"
	Modified ChangeKind = "modify" // also one that was opened for writing, and not written
	Deleted  ChangeKind = "delete" // with all that was below it
)

// Changes lists what a commit of the container would save, in order of path:
// what its overlay's upper directory holds. Files are compared by where they
// are, not by content.
func (c *Container) Changes() ([]Change, error) {
	if c.spec.Root == nil || c.spec.Root.Overlay == nil || c.spec.Root.Overlay.Upper == "" {
		return nil, errors.New("changes: the container has no overlay with an upper directory")
	}
	changes, err := c.spec.Root.Overlay.Changes()
	if err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	return changes, nil
}

// Changes: see Container.Changes.
func (o *Overlay) Changes() ([]Change, error) {
	w := walk{attr: "trusted.overlay."}
	if o.UserXattr {
		w.attr = "user.overlay."
	}
	err := w.dir("/", o.Upper, o.Lower)
	return w.changes, err
}

// walk goes through an upper directory, by the marks that overlayfs.rst
// documents.
type walk struct {
	attr    string // what the names of its extended attributes begin with
	changes []Change
}

func (w *walk) add(path string, kind ChangeKind) {
	w.changes = append(w.changes, Change{path, kind})
}

// dir compares a directory of the upper layer with the same of the lower
// ones, top first: none of them when it is new.
func (w *walk) dir(at, upper string, lower []string) error {
	entries, err := os.ReadDir(upper)
	if err != nil {
		return err
	}
	var gone []string
	if w.has(upper, "opaque") { // nothing of the lower directories is seen through it
		if gone, err = w.merged(lower); err != nil {
			return err
		}
		gone = slices.DeleteFunc(gone, func(name string) bool {
			return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
		})
	}
	for _, e := range entries {
		for len(gone) > 0 && gone[0] < e.Name() {
			w.add(path.Join(at, gone[0]), Deleted)
			gone = gone[1:]
		}
		if err := w.entry(path.Join(at, e.Name()), filepath.Join(upper, e.Name()), lower); err != nil {
			return err
		}
	}
	for _, name := range gone {
		w.add(path.Join(at, name), Deleted)
	}
	return nil
}

func (w *walk) entry(at, upper string, lower []string) error {
	info, err := os.Lstat(upper)
	if err != nil {
		return err
	}
	was, below, err := w.lookup(lower, filepath.Base(upper))
	if err != nil {
		return err
	}
	switch {
	case isWhiteout(info):
		if was != nil {
			w.add(at, Deleted)
		}
		return nil
	case was == nil:
		w.add(at, Added)
	case !info.IsDir() || !was.IsDir() || attributes(info) != attributes(was):
		w.add(at, Modified)
	} // else the directory is there for what it holds
	if !info.IsDir() {
		return nil
	}
	if w.has(upper, "redirect") {
		return fmt.Errorf("%s was renamed with all it holds, which its upper directory does not: mount without redirect_dir", at)
	}
	return w.dir(at, upper, below)
}

// lookup finds a name in lower directories as overlayfs does: the topmost
// hides what is below, and directories are merged. It is nil where none shows.
func (w *walk) lookup(lower []string, name string) (found fs.FileInfo, dirs []string, err error) {
	for _, l := range lower {
		file := filepath.Join(l, name)
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if isWhiteout(info) || found != nil && !info.IsDir() {
			break
		}
		if found == nil {
			found = info
		}
		if !info.IsDir() {
			break
		}
		dirs = append(dirs, file)
		if w.has(file, "opaque") {
			break
		}
	}
	return found, dirs, nil
}

// merged lists the names that lower directories show together, in order.
func (w *walk) merged(lower []string) ([]string, error) {
	var names []string
	for _, l := range lower {
		entries, err := os.ReadDir(l)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found, _, err := w.lookup(lower, e.Name())
			if err != nil {
				return nil, err
			}
			if found != nil {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (w *walk) has(file, attr string) bool {
	value := make([]byte, 16)
	n, err := unix.Lgetxattr(file, w.attr+attr, value)
	if attr == "opaque" {
		return err == nil && string(value[:n]) == "y"
	}
	return err == nil || err == unix.ERANGE
}

func isWhiteout(info fs.FileInfo) bool {
	st := info.Sys().(*syscall.Stat_t)
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// attributes are what chmod and chown change.
func attributes(info fs.FileInfo) [3]uint32 {
	st := info.Sys().(*syscall.Stat_t)
	return [3]uint32{st.Mode, st.Uid, st.Gid}
}
