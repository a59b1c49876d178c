package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestCompare(t *testing.T) {
	base := newTree(t)
	tests := []struct {
		name   string
		change func(in func(string) string) error
		want   []Change
	}{
		{"nothing", func(in func(string) string) error { return nil }, nil},
		{"times", func(in func(string) string) error { return os.Chtimes(in("etc/a"), time.Now(), time.Now()) }, nil},
		{"written with what it held", func(in func(string) string) error { return os.WriteFile(in("etc/a"), []byte("aaaa"), 0) }, nil},
		{"content", func(in func(string) string) error { return os.WriteFile(in("etc/b"), []byte("bbbB"), 0) },
			[]Change{{"/etc/b", Modified}}},
		{"both names", func(in func(string) string) error { return os.WriteFile(in("etc/a"), []byte("new"), 0) },
			[]Change{{"/etc/a", Modified}, {"/etc/hard", Modified}}},
		{"a link less", func(in func(string) string) error {
			return errors.Join(os.Remove(in("etc/hard")), os.WriteFile(in("etc/hard"), []byte("aaaa"), 0o644))
		}, nil},
		{"in a hole", func(in func(string) string) error {
			f, err := os.OpenFile(in("etc/holes"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("x"), 5<<20)
			return errors.Join(err, f.Close())
		}, []Change{{"/etc/holes", Modified}}},
		{"zeros in a hole", func(in func(string) string) error {
			f, err := os.OpenFile(in("etc/holes"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 100), 5<<20)
			return errors.Join(err, f.Close())
		}, nil},
		{"mode", func(in func(string) string) error { return os.Chmod(in("etc/deep"), 0o700) },
			[]Change{{"/etc/deep", Modified}}},
		{"root", func(in func(string) string) error { return os.Chmod(in(""), 0o700) }, []Change{{"/", Modified}}},
		{"xattr gone", func(in func(string) string) error { return unix.Lremovexattr(in("etc/b"), xattrName()) },
			[]Change{{"/etc/b", Modified}}},
		{"xattr", func(in func(string) string) error {
			return unix.Lsetxattr(in("etc/b"), xattrName(), []byte("VALUE"), 0)
		},
			[]Change{{"/etc/b", Modified}}},
		{"long xattr", func(in func(string) string) error {
			return unix.Lsetxattr(in("etc/deep"), xattrName(), make([]byte, 1000), 0)
		}, []Change{{"/etc/deep", Modified}}},
		{"link", func(in func(string) string) error {
			return errors.Join(os.Remove(in("bin/link")), os.Symlink("toll", in("bin/link")), os.Lchown(in("bin/link"), 12, 34))
		}, []Change{{"/bin/link", Modified}}},
		{"topmost deletion", func(in func(string) string) error { return os.RemoveAll(in("etc/deep")) },
			[]Change{{"/etc/deep", Deleted}}},
		{"all of a new directory", func(in func(string) string) error {
			return errors.Join(os.Mkdir(in("new"), 0o755), os.Mkdir(in("new/dir"), 0o755), os.WriteFile(in("new/dir/f"), nil, 0o644))
		}, []Change{{"/new", Added}, {"/new/dir", Added}, {"/new/dir/f", Added}}},
		{"directory to file", func(in func(string) string) error {
			return errors.Join(os.RemoveAll(in("etc/deep")), os.WriteFile(in("etc/deep"), nil, 0o644))
		}, []Change{{"/etc/deep", Modified}}},
		{"file to directory", func(in func(string) string) error {
			return errors.Join(os.Remove(in("etc/a")), os.Mkdir(in("etc/a"), 0o755), os.WriteFile(in("etc/a/x"), nil, 0o644))
		}, []Change{{"/etc/a", Modified}, {"/etc/a/x", Added}}},
		{"directory to a link to one", func(in func(string) string) error {
			return errors.Join(os.RemoveAll(in("empty")), os.Symlink("etc", in("empty")))
		}, []Change{{"/empty", Modified}}},
		{"directory in the place of another", func(in func(string) string) error {
			return errors.Join(os.RemoveAll(in("etc")), os.Rename(in("bin"), in("etc")), os.Chmod(in("etc"), 0o755))
		}, []Change{{"/bin", Deleted}, {"/etc/a", Deleted}, {"/etc/a-b", Deleted}, {"/etc/b", Deleted}, {"/etc/dangling", Added},
			{"/etc/deep", Deleted}, {"/etc/hard", Deleted}, {"/etc/holes", Deleted}, {"/etc/link", Added}, {"/etc/tool", Added}}},
		{"order is of paths", func(in func(string) string) error {
			return errors.Join(os.Mkdir(in("x"), 0o755), os.WriteFile(in("x/y"), nil, 0o644), os.WriteFile(in("x-z"), nil, 0o644))
		}, []Change{{"/x", Added}, {"/x-z", Added}, {"/x/y", Added}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clone := filepath.Join(t.TempDir(), "clone")
			try(t, Copy(t.Context(), clone, base, Contents))
			since, err := Now()
			try(t, err)
			try(t, test.change(func(name string) string { return filepath.Join(clone, name) }))
			if len(test.want) == 0 {
				test.want = nil
			}
			var candidates []string
			for _, c := range test.want {
				candidates = append(candidates, c.Path)
			}
			compareAll(t, base, clone, since, candidates, test.want)
		})
	}
}

// compareAll holds all three ways against what is wanted.
func compareAll(t interface {
	Helper()
	Errorf(string, ...any)
}, base, clone string, since Mark, candidates []string, want []Change) {
	t.Helper()
	ctx := context.Background()
	for name, compare := range map[string]func() ([]Change, error){
		"Compare":      func() ([]Change, error) { return Compare(ctx, base, clone) },
		"CompareSince": func() ([]Change, error) { return CompareSince(ctx, base, clone, since) },
		"ComparePaths": func() ([]Change, error) { return ComparePaths(ctx, base, clone, candidates) },
	} {
		got, err := compare()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// names are few, so that they meet.
var names = []string{"a", "b", "bin", "c", "deep", "empty", "etc", "tmp"}

func randomPath(t *rapid.T, label string) string {
	return filepath.Join(rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, label)...)
}

// changeAtRandom does one thing to a clone, or nothing where it cannot be
// done, and says which paths it touched.
func changeAtRandom(t *rapid.T, clone string) (candidates []string) {
	a := randomPath(t, "path")
	at := filepath.Join(clone, a)
	os.MkdirAll(filepath.Dir(at), 0o755)
	for p := filepath.Dir(a); p != "."; p = filepath.Dir(p) {
		candidates = append(candidates, p)
	}
	candidates = append(candidates, a)
	content := []byte(rapid.SampledFrom([]string{"", "aaaa", "bbbb", "AAAA"}).Draw(t, "content"))
	switch rapid.SampledFrom([]string{"write", "remove", "mkdir", "rename", "link", "hard", "chmod", "xattr", "fifo"}).Draw(t, "op") {
	case "write":
		if info, err := os.Lstat(at); err == nil && !info.Mode().IsRegular() {
			return candidates // a FIFO would wait for a reader
		}
		os.WriteFile(at, content, 0o644)
	case "remove":
		if info, err := os.Lstat(filepath.Dir(at)); err != nil || !info.IsDir() {
			return candidates // os.RemoveAll opens what it is in, and a FIFO would wait
		}
		os.RemoveAll(at)
		candidates = append(candidates, a+"/") // if it is made anew
	case "mkdir":
		os.Mkdir(at, 0o755)
	case "rename":
		b := randomPath(t, "to")
		if os.Rename(at, filepath.Join(clone, b)) == nil {
			candidates = append(candidates, a+"/", b+"/") // a may be made anew
		}
	case "link":
		os.Remove(at)
		os.Symlink(string(content)+"x", at)
	case "hard":
		b := randomPath(t, "to")
		if os.Link(at, filepath.Join(clone, b)) == nil {
			candidates = append(candidates, b)
		}
	case "chmod":
		unix.Fchmodat(unix.AT_FDCWD, at, rapid.SampledFrom([]uint32{0o755, 0o644, 0o700}).Draw(t, "mode"), unix.AT_SYMLINK_NOFOLLOW)
	case "xattr":
		unix.Lsetxattr(at, xattrName(), content, 0)
	case "fifo":
		unix.Mkfifo(at, 0o600)
	}
	return candidates
}

func TestCompareAtRandom(t *testing.T) {
	base := newTree(t)
	was := seen(t, base)
	scratch := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(scratch, "")
		try(t, err)
		defer os.RemoveAll(dir)
		clone := filepath.Join(dir, "clone")
		try(t, Copy(context.Background(), clone, base, Contents))
		if rapid.Bool().Draw(r, "a tick later") {
			time.Sleep(12 * time.Millisecond) // so that not everything is a candidate
		}
		since, err := Now()
		try(t, err)
		var candidates []string
		for range rapid.IntRange(1, 12).Draw(r, "changes") {
			candidates = append(candidates, changeAtRandom(r, clone)...)
		}
		want := differences(was, seen(t, clone))
		for _, c := range want {
			if c.Kind == Modified { // by another name, perhaps
				candidates = append(candidates, c.Path)
			}
		}
		compareAll(r, base, clone, since, candidates, want)
	})
}

// A file that keeps its ctime although it is at another's place.
func TestCompareSinceRenamedDirectory(t *testing.T) {
	base := t.TempDir()
	for _, name := range []string{"a", "b"} {
		try(t, os.MkdirAll(filepath.Join(base, "top", name, "below"), 0o755))
		try(t, os.WriteFile(filepath.Join(base, "top", name, "below", "file"), []byte(name), 0o644))
	}
	clone := filepath.Join(t.TempDir(), "clone")
	try(t, Copy(t.Context(), clone, base, Contents))
	time.Sleep(20 * time.Millisecond)
	since, err := Now()
	try(t, err)
	try(t, unix.Renameat2(unix.AT_FDCWD, clone+"/top/a", unix.AT_FDCWD, clone+"/top/b", unix.RENAME_EXCHANGE))
	got, err := CompareSince(t.Context(), base, clone, since)
	try(t, err)
	want := []Change{{"/top/a/below/file", Modified}, {"/top/b/below/file", Modified}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What CompareSince is for: it takes the word of a ctime.
func TestCompareSinceReadsOnlyWhatChanged(t *testing.T) {
	base, clone := newTree(t), filepath.Join(t.TempDir(), "clone")
	try(t, Copy(t.Context(), clone, base, Contents))
	try(t, os.WriteFile(filepath.Join(clone, "etc/b"), []byte("BBBB"), 0))
	time.Sleep(20 * time.Millisecond)
	since, err := Now()
	try(t, err)
	try(t, os.WriteFile(filepath.Join(clone, "etc/a"), []byte("AAAA"), 0))
	try(t, os.RemoveAll(filepath.Join(base, "etc/deep"))) // which nobody may look for
	got, err := CompareSince(t.Context(), base, clone, since)
	try(t, err)
	want := []Change{{"/etc/a", Modified}, {"/etc/hard", Modified}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMark(t *testing.T) {
	m := Mark{unix.Timespec{Sec: 10, Nsec: 500}}
	for _, test := range []struct {
		sec, nsec int64
		want      bool
	}{{9, 999, false}, {10, 499, false}, {10, 500, true}, {10, 0, true}, {11, 1, true}} {
		if got := m.reached(unix.Timespec{Sec: test.sec, Nsec: test.nsec}); got != test.want {
			t.Errorf("%d.%09d: got %v", test.sec, test.nsec, got)
		}
	}
}

func TestSelected(t *testing.T) {
	for _, test := range []struct {
		paths []string
		want  selection
	}{
		{nil, selection{}},
		{[]string{"/"}, selection{}},
		{[]string{"/a/b", "/a/c", "a"}, selection{"a": {"b": {}, "c": {}}}},
		{[]string{"/a/b", "/a/"}, selection{"a": nil}},
		{[]string{"/a/", "/a/b/c", "/a"}, selection{"a": nil}},
	} {
		if diff := cmp.Diff(test.want, selected(test.paths)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.paths, diff)
		}
	}
}
