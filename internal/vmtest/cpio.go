package vmtest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// File types of st_mode, see inode(7).
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
)

// entry is one file of an archive: data itself, or the path it is copied from.
type entry struct {
	mode uint32 // type and permissions
	uid  int    // also its gid
	data string // content, or the target of a link
	from string // file to copy, instead of data
}

// tree is the content of an archive: entries by path, without a leading slash.
type tree map[string]entry

func (t tree) dir(name string, mode uint32) { t[name] = entry{mode: typeDir | mode} }
func (t tree) text(name, data string)       { t[name] = entry{mode: typeFile | 0o644, data: data} }
func (t tree) link(name, target string)     { t[name] = entry{mode: typeLink | 0o777, data: target} }
func (t tree) copy(name, from string, mode uint32) {
	t[name] = entry{mode: typeFile | mode, from: from}
}

// writeCpio writes the tree in the newc format, parents before their children
// and missing parents made. The same tree gives the same bytes.
// See Documentation/driver-api/early-userspace/buffer-format.rst.
func (t tree) writeCpio(w io.Writer) error {
	all := maps.Clone(t)
	for name := range t {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := all[d]; !ok {
				all[d] = entry{mode: typeDir | 0o755}
			}
		}
	}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if err := writeEntry(w, i+1, name, all[name]); err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
	}
	return writeEntry(w, 0, "TRAILER!!!", entry{})
}

func writeEntry(w io.Writer, inode int, name string, e entry) error {
	var body io.Reader = strings.NewReader(e.data)
	size := int64(len(e.data))
	if e.from != "" {
		f, err := os.Open(e.from)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		body, size = f, st.Size()
	}
	// magic, then ino mode uid gid nlink mtime filesize maj min rmaj rmin namesize check
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		inode, e.mode, e.uid, e.uid, 1, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	if _, err := io.WriteString(w, header+padding(int64(len(header)))); err != nil {
		return err
	}
	n, err := io.Copy(w, body)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("size changed from %d to %d while it was read", size, n)
	}
	_, err = io.WriteString(w, padding(size))
	return err
}

// padding aligns what follows n bytes to four.
func padding(n int64) string { return "\x00\x00\x00"[:-n&3] }
