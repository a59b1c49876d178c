package backendtest

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/tree"
)

// A node is a file in memory. Names that are hard links to one file share it.
type node struct {
	mode     uint32 // type and permissions, as in stat(2)
	uid, gid int
	content  string // of a file, or the target of a link
	rdev     uint64
	xattrs   map[string]string
	children map[string]*node // of a directory
}

func newDir(mode uint32) *node {
	return &node{mode: unix.S_IFDIR | mode, children: map[string]*node{}, xattrs: map[string]string{}}
}

func (n *node) kind() uint32 { return n.mode & unix.S_IFMT }
func (n *node) isDir() bool  { return n.kind() == unix.S_IFDIR }

// at finds a path, absolute and clean. It is nil where there is nothing.
func (n *node) at(name string) *node {
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if part == "" {
			return n
		}
		if n = n.children[part]; n == nil {
			return nil
		}
	}
	return n
}

// put makes name be that node; nil takes it away.
func (n *node) put(name string, child *node) {
	parent, base := n.at(path.Dir(name)), path.Base(name)
	if child == nil {
		delete(parent.children, base)
	} else {
		parent.children[base] = child
	}
}

// paths lists all but the root, in order.
func (n *node) paths() []string {
	var list []string
	n.each("/", func(name string, _ *node) { list = append(list, name) })
	return list
}

func (n *node) each(at string, do func(string, *node)) {
	for _, base := range slices.Sorted(maps.Keys(n.children)) {
		name, child := path.Join(at, base), n.children[base]
		do(name, child)
		child.each(name, do)
	}
}

// clone keeps what is linked linked.
func (n *node) clone(seen map[*node]*node) *node {
	if other := seen[n]; other != nil {
		return other
	}
	other := *n
	seen[n] = &other
	other.xattrs = maps.Clone(n.xattrs)
	other.children = maps.Clone(n.children)
	for base, child := range other.children {
		other.children[base] = child.clone(seen)
	}
	return &other
}

// same says whether two files differ in nothing that a Change is about.
func same(a, b *node) bool {
	return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.content == b.content &&
		a.rdev == b.rdev && maps.Equal(a.xattrs, b.xattrs)
}

// changes is what Diff must answer: see storagebench.Change.
func changes(base, clone *node) []storagebench.Change {
	var list []storagebench.Change
	if !same(base, clone) {
		list = append(list, storagebench.Change{Path: "/", Kind: tree.Modified})
	}
	list = append(list, changesBelow("/", base, clone)...)
	slices.SortFunc(list, func(a, b storagebench.Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func changesBelow(at string, base, clone *node) (list []storagebench.Change) {
	add := func(name string, kind tree.ChangeKind) {
		list = append(list, storagebench.Change{Path: name, Kind: kind})
	}
	for name := range base.children {
		if clone.children[name] == nil {
			add(path.Join(at, name), tree.Deleted)
		}
	}
	for name, now := range clone.children {
		was, name := base.children[name], path.Join(at, name)
		switch {
		case was == nil:
			add(name, tree.Added)
		case !same(was, now):
			add(name, tree.Modified)
		}
		switch {
		case !now.isDir():
		case was != nil && was.isDir():
			list = append(list, changesBelow(name, was, now)...)
		default:
			now.each(name, func(below string, _ *node) { add(below, tree.Added) })
		}
	}
	return list
}

// truth is what an image must look like.
func truth(image storagebench.Image) (*node, error) {
	root := newDir(0o755)
	for i, layer := range image.Layers {
		r, err := layer.Open()
		if err == nil {
			err = root.apply(r)
			err = errors.Join(err, r.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return root, nil
}

// apply lays a layer over the tree. It knows the archives that are tested
// with: parents come first, and none is a link.
func (n *node) apply(layer io.Reader) error {
	own := map[string]bool{}
	for archive := tar.NewReader(layer); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)
		dir, base := path.Split(name)
		if base == ".wh..wh..opq" {
			for _, child := range slices.Collect(maps.Keys(n.at(dir).children)) {
				if !own[path.Join(dir, child)] {
					n.put(path.Join(dir, child), nil)
				}
			}
			continue
		} else if hidden, ok := strings.CutPrefix(base, ".wh."); ok {
			n.put(path.Join(dir, hidden), nil)
			continue
		}
		own[name] = true
		if h.Typeflag == tar.TypeLink {
			n.put(name, n.at(path.Clean("/"+h.Linkname)))
			continue
		}
		file, err := fromHeader(h, archive)
		if err != nil {
			return err
		}
		if old := n.at(name); old != nil && old.isDir() && file.isDir() {
			file.children = old.children
		}
		if name == "/" {
			*n = *file
		} else {
			n.put(name, file)
		}
	}
}

func fromHeader(h *tar.Header, content io.Reader) (*node, error) {
	n := newDir(uint32(h.Mode) & 0o7777)
	n.uid, n.gid = h.Uid, h.Gid
	for record, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(record, "SCHILY.xattr."); ok {
			n.xattrs[name] = value
		}
	}
	if h.Typeflag == tar.TypeDir {
		return n, nil
	}
	n.children = nil
	perm := n.mode & 0o7777
	switch h.Typeflag {
	case tar.TypeReg:
		b, err := io.ReadAll(content)
		if err != nil {
			return nil, err
		}
		n.mode, n.content = unix.S_IFREG|perm, string(b)
	case tar.TypeSymlink:
		n.mode, n.content = unix.S_IFLNK|0o777, h.Linkname
	case tar.TypeFifo:
		n.mode = unix.S_IFIFO | perm
	case tar.TypeChar:
		n.mode, n.rdev = unix.S_IFCHR|perm, unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	default:
		return nil, fmt.Errorf("%s: no entry of type %q is tested with", h.Name, h.Typeflag)
	}
	return n, nil
}

// describe is the tree as text, a line for each path. With links, it says
// which names are one file.
func (n *node) describe(links bool) map[string]string {
	text := map[string]string{"/": n.line()}
	first := map[*node]string{}
	n.each("/", func(name string, f *node) {
		text[name] = f.line()
		if f.isDir() || !links {
			return
		}
		if other := first[f]; other != "" {
			text[name] += " is " + other
		} else {
			first[f] = name
		}
	})
	return text
}

func (n *node) line() string {
	line := fmt.Sprintf("%o %d:%d", n.mode, n.uid, n.gid)
	switch n.kind() {
	case unix.S_IFREG:
		line += fmt.Sprintf(" %d bytes %.6x", len(n.content), sha256.Sum256([]byte(n.content)))
	case unix.S_IFLNK:
		line += " -> " + n.content
	case unix.S_IFCHR, unix.S_IFBLK:
		line += fmt.Sprintf(" device %d:%d", unix.Major(n.rdev), unix.Minor(n.rdev))
	}
	for _, name := range slices.Sorted(maps.Keys(n.xattrs)) {
		line += fmt.Sprintf(" %s=%q", name, n.xattrs[name])
	}
	return line
}
