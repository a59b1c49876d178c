package storagebench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestCandidates(t *testing.T) {
	upper := t.TempDir()
	for _, name := range []string{"a/b/", "a/file", "a/.wh.gone", "opaque/.wh..wh..opq", "opaque/new", ".wh.top",
		".wh..wh.aufs", ".wh..wh.plnk/12.12", ".wh..wh.orph/", "marked/x"} {
		file := filepath.Join(upper, name)
		dir, isDir := filepath.Dir(file), strings.HasSuffix(name, "/")
		if isDir {
			dir = file
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if isDir {
			continue
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// user.* needs no root; tmpfs takes it since Linux 6.6.
	if err := unix.Setxattr(filepath.Join(upper, "marked"), "user.overlay.opaque", []byte("y"), 0); err != nil {
		t.Skip(err)
	}
	for marks, want := range map[bool][]string{
		true: {"/", "/.wh.aufs", "/top", "/a", "/a/gone", "/a/b", "/a/file", "/marked", "/marked/", "/marked/x", "/opaque", "/opaque/", "/opaque/new"},
		false: {"/", "/.wh..wh.aufs", "/.wh..wh.orph", "/.wh..wh.plnk", "/.wh..wh.plnk/12.12", "/.wh.top", "/a", "/a/.wh.gone", "/a/b", "/a/file",
			"/marked", "/marked/", "/marked/x", "/opaque", "/opaque/.wh..wh..opq", "/opaque/new"},
	} {
		got, err := candidates(upper, marks)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("marks %v: %v, (-want +got):\n%s", marks, err, diff)
		}
	}
	if _, err := candidates(filepath.Join(upper, "none"), false); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestAUFSOptions(t *testing.T) {
	s := stack{dir: "/l", lower: []string{"2", "1", "0"}, upper: "/u:x"}
	for page, want := range map[int][]string{
		4096: {`br:/u\:x=rw:/l/2=ro+wh:/l/1=ro+wh:/l/0=ro+wh`},
		30:   {`br:/u\:x=rw:/l/2=ro+wh`, "append:/l/1=ro+wh", "append:/l/0=ro+wh"},
	} {
		if diff := cmp.Diff(want, aufsOptions(s, page)); diff != "" {
			t.Errorf("page of %d (-want +got):\n%s", page, diff)
		}
	}
	if got := aufsOptions(stack{dir: "/l", lower: []string{"0"}}, 4096); got[0] != "br:/l/0=ro+wh" {
		t.Errorf("without an upper directory: %q", got)
	}
}
