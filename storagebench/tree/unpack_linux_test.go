package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// need: see isolate.
func need(t testing.TB, capability string, has bool) {
	t.Helper()
	if has {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not", capability)
	}
	t.Skipf("needs %s", capability)
}

func needRoot(t testing.TB) {
	t.Helper()
	need(t, "root", os.Geteuid() == 0)
}

var when = time.Unix(1_500_000_000, 123456789)

func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg { // what it holds goes by the link's name
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if h.ModTime.IsZero() {
			h.ModTime = when
		}
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content, Mode: 0o644}
}
func link(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}
func symlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}
}

// listing shows what is in a directory: type, and content or target.
func listing(t testing.TB, root string) []string {
	t.Helper()
	list := []string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch d.Type() {
		case fs.ModeDir:
			name += "/"
			if value := xattr(path, "trusted.overlay.opaque") + xattr(path, "user.overlay.opaque"); value != "" {
				name += " opaque"
			}
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += " -> " + target
		case 0:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name += "=" + string(content)
		default:
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				return err
			}
			name += fmt.Sprintf(" %v %d:%d", d.Type(), unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		list = append(list, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func xattr(path, name string) string {
	value := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, value)
	if err != nil {
		return ""
	}
	return string(value[:n])
}

func unpack(t testing.TB, dir string, w Whiteouts, headers ...tar.Header) error {
	t.Helper()
	return Unpack(t.Context(), dir, bytes.NewReader(archive(t, headers...)), w)
}

func TestUnpackAttributes(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	entries := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711},
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o1777, Uid: 3, Gid: 4, PAXRecords: map[string]string{"SCHILY.xattr.user.of": "dir\x00"}},
		{Typeflag: tar.TypeReg, Name: "d/setuid", Linkname: "program", Mode: 0o4755, Uid: 1000, Gid: 1001},
		{Typeflag: tar.TypeReg, Name: "d/capable", Mode: 0o755, Uid: 7,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}},
		{Typeflag: tar.TypeSymlink, Name: "d/link", Linkname: "/nowhere", Uid: 5, Gid: 6},
		{Typeflag: tar.TypeLink, Name: "hard", Linkname: "d/setuid"},
		{Typeflag: tar.TypeFifo, Name: "fifo", Mode: 0o620},
		{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeBlock, Name: "far", Mode: 0o600, Devmajor: 300, Devminor: 70000},
		{Typeflag: tar.TypeReg, Name: "no/parents/listed", Linkname: "x", Mode: 0o400},
	}
	defer unix.Umask(unix.Umask(0o077))
	if err := unpack(t, root, Apply, entries...); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range []string{".", "d", "d/setuid", "d/capable", "d/link", "hard", "fifo", "null", "far", "no", "no/parents/listed"} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(st.Mtim.Unix()).Sub(when).String()
		if name == "no" {
			at = "made"
		}
		got = append(got, fmt.Sprintf("%s %o %d:%d links %d dev %d:%d %s", name, st.Mode, st.Uid, st.Gid, st.Nlink, unix.Major(st.Rdev), unix.Minor(st.Rdev), at))
	}
	want := []string{
		". 40711 0:0 links 4 dev 0:0 0s",
		"d 41777 3:4 links 2 dev 0:0 0s",
		"d/setuid 104755 1000:1001 links 2 dev 0:0 0s",
		"d/capable 100755 7:0 links 1 dev 0:0 0s",
		"d/link 120777 5:6 links 1 dev 0:0 0s",
		"hard 104755 1000:1001 links 2 dev 0:0 0s",
		"fifo 10620 0:0 links 1 dev 0:0 0s",
		"null 20666 0:0 links 1 dev 1:3 0s",
		"far 60600 0:0 links 1 dev 300:70000 0s",
		"no 40755 0:0 links 3 dev 0:0 made",
		"no/parents/listed 100400 0:0 links 1 dev 0:0 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := xattr(filepath.Join(root, "d"), "user.of"); got != "dir\x00" {
		t.Errorf("user.of is %q", got)
	}
	if got := xattr(filepath.Join(root, "d/capable"), "security.capability"); len(got) != 20 {
		t.Errorf("security.capability is %q", got)
	}
}

// Two layers, each into the directory that its way of keeping them apart gives it.
func TestUnpackWhiteouts(t *testing.T) {
	needRoot(t)
	below := []tar.Header{dir("d"), file("d/a", "1"), file("d/b", "1"), dir("d/sub"), file("d/sub/x", "1"), file("gone", "1"), file("was", "1"), dir("kept")}
	tests := []struct {
		name  string
		w     Whiteouts
		layer []tar.Header
		want  []string
	}{
		{"apply", Apply, []tar.Header{file(".wh.gone", ""), file("d/.wh.a", ""), file("d/.wh.never", "")},
			[]string{"d/", "d/b=1", "d/sub/", "d/sub/x=1", "kept/", "was=1"}},
		{"a directory goes whole", Apply, []tar.Header{file(".wh.d", "")},
			[]string{"gone=1", "kept/", "was=1"}},
		{"opaque, before and after its directory's files", Apply, []tar.Header{dir("d"), file("d/new", "2"), file("d/.wh..wh..opq", ""), file("d/a", "2")},
			[]string{"d/", "d/a=2", "d/new=2", "gone=1", "kept/", "was=1"}},
		{"opaque hides below what stays", Apply, []tar.Header{dir("d"), dir("d/sub"), file("d/sub/y", "2"), file("d/.wh..wh..opq", "")},
			[]string{"d/", "d/sub/", "d/sub/y=2", "gone=1", "kept/", "was=1"}},
		{"a whiteout does not hide its own layer", Apply, []tar.Header{dir("d"), file("d/new", "2"), file(".wh.d", ""), file("was", "2"), file(".wh.was", "")},
			[]string{"d/", "d/new=2", "gone=1", "kept/", "was=2"}},
		{"in a directory that is not there", Apply, []tar.Header{file("no/such/.wh.x", ""), file("no/.wh..wh..opq", ""), file("was/.wh.x", ""), file(".wh.d", ""), file(".wh.gone", ""), file(".wh.was", "")},
			[]string{"kept/"}},
		{"aufs's own files", Apply, []tar.Header{file(".wh..wh.aufs", ""), dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", ""), file(".wh.d", ""), file(".wh.gone", ""), file(".wh.was", "")},
			[]string{"kept/"}},
		{"overlay", Overlay, []tar.Header{file(".wh.gone", ""), dir("d"), file("d/.wh..wh..opq", ""), file("deep/er/.wh.x", "")},
			[]string{"d/ opaque", "deep/", "deep/er/", "deep/er/x Dc--------- 0:0", "gone Dc--------- 0:0"}},
		{"overlay: a directory made anew", Overlay, []tar.Header{file(".wh.d", ""), dir("d"), dir("e"), file(".wh.e", "")},
			[]string{"d/ opaque", "e/ opaque"}},
		{"overlay: a file made anew", Overlay, []tar.Header{file(".wh.d", ""), file("d", "2"), file("e", "2"), file(".wh.e", "")},
			[]string{"d=2", "e=2"}},
		{"overlay, unprivileged", OverlayUser, []tar.Header{file("d/.wh..wh..opq", ""), file(".wh.x", "")},
			[]string{"d/ opaque", "x Dc--------- 0:0"}},
		{"aufs", AUFS, []tar.Header{file(".wh.gone", ""), dir("d"), file("d/.wh..wh..opq", "")},
			[]string{".wh.gone=", "d/", "d/.wh..wh..opq="}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if test.w == Apply {
				if err := unpack(t, root, Apply, below...); err != nil {
					t.Fatal(err)
				}
			}
			if err := unpack(t, root, test.w, test.layer...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, listing(t, root)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUnpackReplaces(t *testing.T) {
	root := t.TempDir()
	fifo := tar.Header{Typeflag: tar.TypeFifo, Name: "d", Mode: 0o600}
	// Each takes the place of what the one before left, in one layer and the next.
	steps := []struct {
		header tar.Header
		want   []string
	}{
		{file("d", "1"), []string{"d=1"}},
		{dir("d"), []string{"d/"}},
		{file("d/f", "1"), []string{"d/", "d/f=1"}},
		{dir("d/"), []string{"d/", "d/f=1"}},
		{symlink("d", "/etc"), []string{"d -> /etc"}},
		{dir("d"), []string{"d/"}},
		{fifo, []string{"d p--------- 0:0"}},
		{file("d", "2"), []string{"d=2"}},
		{file("d", "3"), []string{"d=3"}},
	}
	var all []tar.Header
	for i, step := range steps {
		all = append(all, step.header)
		if err := unpack(t, root, Apply, step.header); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if diff := cmp.Diff(step.want, listing(t, root)); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
		fresh := t.TempDir()
		if err := unpack(t, fresh, Apply, all...); err != nil {
			t.Fatalf("step %d, one layer: %v", i, err)
		}
		if diff := cmp.Diff(step.want, listing(t, fresh)); diff != "" {
			t.Errorf("step %d, one layer: %s", i, diff)
		}
	}
}

// A directory's attributes are those of the last layer that has it.
func TestUnpackDirectoryOfTwoLayers(t *testing.T) {
	root := t.TempDir()
	first, second := dir("d"), dir("d")
	first.PAXRecords = map[string]string{"SCHILY.xattr.user.first": "1"}
	second.PAXRecords = map[string]string{"SCHILY.xattr.user.second": "2"}
	second.Mode = 0o500
	for _, h := range []tar.Header{first, second} {
		if err := unpack(t, root, Apply, h, file("d/f", "")); err != nil {
			t.Fatal(err)
		}
	}
	d := filepath.Join(root, "d")
	if a, b := xattr(d, "user.first"), xattr(d, "user.second"); a != "" || b != "2" {
		t.Errorf("user.first is %q, user.second %q", a, b)
	}
	if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o500 || !info.ModTime().Equal(when) {
		t.Errorf("%v, %v", info, err)
	}
}

// What an archive tries, and what is left alone: a sibling of the root that
// has a file and nothing else.
func TestUnpackHostile(t *testing.T) {
	tests := []struct {
		name    string
		entries []tar.Header
		err     string // "" where it is harmless
		want    []string
	}{
		{"upward", []tar.Header{file("../outside/new", "x")}, "upward", nil},
		{"upward in the middle", []tar.Header{file("a/../../outside/new", "x")}, "upward", nil},
		{"absolute", []tar.Header{file("/etc/passwd", "x")}, "", []string{"etc/", "etc/passwd=x"}},
		{"through a relative link", []tar.Header{symlink("l", "../outside"), file("l/new", "x")}, "exists", nil},
		{"through an absolute link", []tar.Header{symlink("l", "OUTSIDE"), file("l/secret", "x")}, "exists", nil},
		{"through a link to what the root has", []tar.Header{dir("usr"), symlink("lib", "/usr"), file("lib/so", "x")}, "", []string{"lib -> /usr", "usr/", "usr/so=x"}},
		{"up and down again", []tar.Header{dir("outside"), symlink("l", "../../../outside"), file("l/in", "x")}, "", []string{"l -> ../../../outside", "outside/", "outside/in=x"}},
		{"over a link", []tar.Header{symlink("l", "../outside/secret"), file("l", "x")}, "", []string{"l=x"}},
		{"a directory over a link", []tar.Header{symlink("l", "../outside"), dir("l"), file("l/new", "x")}, "", []string{"l/", "l/new=x"}},
		{"a link under a directory's attributes", []tar.Header{{Typeflag: tar.TypeDir, Name: "d", Mode: 0o777}, symlink("d", "../outside")}, "", []string{"d -> ../outside"}},
		{"a hard link upward", []tar.Header{link("h", "../outside/secret")}, "upward", nil},
		{"an absolute hard link", []tar.Header{link("h", "OUTSIDE/secret")}, "no such file", nil},
		{"a hard link through a link", []tar.Header{symlink("l", "../outside"), link("h", "l/secret"), file("h", "x")}, "no such file", nil},
		{"a hard link to a link is the link", []tar.Header{symlink("l", "../outside/secret"), link("h", "l"), file("h", "x")}, "", []string{"h=x", "l -> ../outside/secret"}},
		{"a hard link to itself", []tar.Header{file("h", "x"), link("h", "h")}, "no such file", nil},
		{"a hard link to a directory", []tar.Header{dir("d"), link("h", "d")}, "not permitted", nil},
		{"a whiteout of the parent", []tar.Header{file("d/.wh...", "")}, "whiteout of", nil},
		{"a whiteout of the directory", []tar.Header{file("d/.wh..", "")}, "whiteout of", nil},
		{"a whiteout of nothing", []tar.Header{file(".wh.", "")}, "whiteout of", nil},
		{"a whiteout through a link", []tar.Header{symlink("l", "../outside"), file("l/.wh.secret", "")}, "", []string{"l -> ../outside"}},
		{"an opaque link", []tar.Header{symlink("l", "../outside"), file("l/.wh..wh..opq", "")}, "", []string{"l -> ../outside"}},
		{"below a whiteout", []tar.Header{file(".wh.d/x", "")}, "below a whiteout", nil},
		{"the root as a file", []tar.Header{file(".", "x")}, "root", nil},
		{"the root as a link", []tar.Header{symlink("./", "../outside")}, "root", nil},
		{"magic links", []tar.Header{symlink("p", "/proc/self/root"), file("p/new", "x")}, "exists", nil},
		{"overlay's attributes", []tar.Header{{Typeflag: tar.TypeDir, Name: "d", PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/"}}}, "no image's", nil},
		{"a parent that is a file", []tar.Header{file("f", "x"), file("f/g", "x")}, "not a directory", nil},
		{"a number that no device has", []tar.Header{{Typeflag: tar.TypeChar, Name: "c", Devmajor: 4096}}, "no device", nil},
		{"a name too long", []tar.Header{file(strings.Repeat("n", 300), "")}, "too long", nil},
		{"a path too long", []tar.Header{file(strings.Repeat("n/", 5000)+"n", "")}, "too long", nil},
		{"an owner out of range", []tar.Header{{Typeflag: tar.TypeReg, Name: "f", Uid: 1<<32 - 1}}, "nobody", nil},
		{"an unknown type", []tar.Header{{Typeflag: 'Z', Name: "f"}}, "not known", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			base := t.TempDir()
			root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
			for _, d := range []string{root, outside} {
				if err := os.Mkdir(d, 0o750); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			before := listing(t, outside)
			for i := range test.entries {
				test.entries[i].Linkname = strings.Replace(test.entries[i].Linkname, "OUTSIDE", outside, 1)
			}
			err := unpack(t, root, Apply, test.entries...)
			if test.name == "an owner out of range" && os.Geteuid() != 0 {
				test.err = ""
			}
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("%v, want %q", err, test.err)
			case test.err == "" && test.want != nil:
				if diff := cmp.Diff(test.want, listing(t, root)); diff != "" {
					t.Error(diff)
				}
			}
			if diff := cmp.Diff(before, listing(t, outside)); diff != "" {
				t.Errorf("outside of the root: %s", diff)
			}
			if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o750 {
				t.Errorf("the directory outside: %v, %v", info, err)
			}
		})
	}
}

func TestUnpackGivesUp(t *testing.T) {
	layer := archive(t, file("f", "x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Unpack(ctx, t.TempDir(), bytes.NewReader(layer), Apply); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := Unpack(t.Context(), t.TempDir(), bytes.NewReader(layer[:512]), Apply); err == nil {
		t.Error("half an archive was no error")
	}
	plain := file("f", strings.Repeat("x", 2<<20))
	plain.ModTime = when.Truncate(time.Second) // so that the first header is the file's
	huge := archive(t, plain)
	huge[156] += tar.TypeXHeader - tar.TypeReg
	var sum int
	copy(huge[148:156], "        ")
	for _, b := range huge[:512] {
		sum += int(b)
	}
	copy(huge[148:156], fmt.Sprintf("%06o\x00 ", sum))
	if err := Unpack(t.Context(), t.TempDir(), bytes.NewReader(huge), Apply); !errors.Is(err, tar.ErrFieldTooLong) {
		t.Errorf("a header of 2 MiB: %v", err)
	}
	rest := bytes.NewReader(append(layer, make([]byte, 10240)...))
	if err := Unpack(t.Context(), t.TempDir(), rest, Apply); err != nil || rest.Len() != 0 {
		t.Errorf("%v, %d bytes were not read", err, rest.Len())
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, dir("d"), file("d/f", "x"), symlink("l", "../outside"), link("h", "d/f")), 0)
	f.Add(archive(f, symlink("l", "../outside"), file("l/x", "x"), file(".wh.l", "")), 1)
	f.Add(archive(f, file("d/.wh..wh..opq", ""), file(".wh...", "")), 0)
	f.Fuzz(func(t *testing.T, layer []byte, w int) {
		base := t.TempDir()
		root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
		for _, d := range []string{root, outside} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		_ = Unpack(t.Context(), root, bytes.NewReader(layer), Whiteouts(uint(w)%4)) // an error is an answer
		entries, err := os.ReadDir(base)
		if err != nil || len(entries) != 2 {
			t.Errorf("beside the root: %v, %v", entries, err)
		}
		if got := listing(t, outside); len(got) != 0 {
			t.Errorf("outside of the root: %v", got)
		}
	})
}
