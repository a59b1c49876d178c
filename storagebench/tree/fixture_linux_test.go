package tree

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func try(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTree is a directory with one of everything.
func newTree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "base")
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"", "bin", "etc", "etc/deep", "etc/deep/er", "empty", "tmp"} {
		try(t, os.Mkdir(in(d), 0o755))
	}
	try(t, os.Chmod(in("tmp"), 0o777|os.ModeSticky))
	for name, content := range map[string]string{
		"bin/tool": "tool", "etc/a": "aaaa", "etc/b": "bbbb", "etc/a-b": "", "etc/deep/c": "cccc", "etc/deep/er/d": "dddd",
	} {
		try(t, os.WriteFile(in(name), []byte(content), 0o644))
	}
	try(t, os.Chmod(in("bin/tool"), 0o755|os.ModeSetuid))
	try(t, os.Symlink("tool", in("bin/link")))
	try(t, os.Symlink("/nowhere", in("bin/dangling")))
	try(t, os.Link(in("etc/a"), in("etc/hard")))
	try(t, unix.Mkfifo(in("tmp/fifo"), 0o600))
	try(t, unix.Lsetxattr(in("etc/b"), xattrName(), []byte("value"), 0))
	try(t, os.WriteFile(in("etc/holes"), []byte("begin"), 0o600))
	try(t, os.Truncate(in("etc/holes"), 8<<20))
	if os.Getuid() == 0 {
		try(t, unix.Mknod(in("tmp/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		try(t, os.Lchown(in("etc/b"), 12, 34))
		try(t, os.Lchown(in("bin/link"), 12, 34))
	}
	return dir
}

// xattrName is one that can be set also where tmpfs takes no user.*, before
// Linux 6.6.
func xattrName() string {
	if os.Getuid() == 0 {
		return "trusted.test"
	}
	return "user.test"
}

// seen is all that can be seen of a tree, path by path, in words: the slow
// and simple way, against which the others are held.
func seen(t testing.TB, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	try(t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%v %d:%d %x", info.Mode(), st.Uid, st.Gid, st.Rdev)
		value := make([]byte, 100)
		if n, err := unix.Lgetxattr(file, xattrName(), value); err == nil {
			text += fmt.Sprintf(" xattr %q", value[:n])
		}
		switch info.Mode().Type() {
		case 0:
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" holds %q", strings.TrimRight(string(content), "\x00")) + fmt.Sprint(len(content))
		case fs.ModeSymlink:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			text += " to " + target
		}
		files[path.Join("/", strings.TrimPrefix(file, root))] = text
		return nil
	}))
	return files
}

// differences are found by the words of storagebench.Change.
func differences(base, clone map[string]string) []Change {
	isDir := func(text string) bool { return text[0] == 'd' }
	var changes []Change
	for p, was := range base {
		is, there := clone[p]
		parent := path.Dir(p)
		switch {
		case there && is != was:
			changes = append(changes, Change{p, Modified})
		case !there && isDir(clone[parent]+" "):
			changes = append(changes, Change{p, Deleted})
		}
	}
	for p := range clone {
		if _, there := base[p]; !there {
			changes = append(changes, Change{p, Added})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes
}
