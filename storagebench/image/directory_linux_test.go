package image

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	err := first(os.Mkdir(in("d"), 0o700), os.WriteFile(in("d/f"), []byte("content"), 0o640), os.Link(in("d/f"), in("hard")),
		os.Symlink("/d", in("link")), unix.Mkfifo(in("pipe"), 0o600), unix.Mknod(in("socket"), unix.S_IFSOCK|0o600, 0),
		unix.Setxattr(in("d/f"), "user.note", []byte("\x00n"), 0), unix.Chmod(in("d"), 0o1711), os.Chmod(dir, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	r, err := opened(t, "dir:"+dir).Layers[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%c %s %o %q %s%q", h.Typeflag, h.Name, h.Mode, h.Linkname, content, h.PAXRecords["SCHILY.xattr.user.note"]))
	}
	want := []string{
		`5 ./ 755 "" ""`,
		`5 d/ 1711 "" ""`,
		`0 d/f 640 "" content"\x00n"`,
		`1 hard 640 "d/f" ""`,
		`2 link 777 "/d" ""`,
		`6 pipe 600 "" ""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDirectoryWithAWhiteout(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".wh.x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := opened(t, dir).Layers[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err == nil || !strings.Contains(err.Error(), "whiteout") {
		t.Errorf("%v", err)
	}
}
