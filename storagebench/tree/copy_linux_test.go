package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestCopy(t *testing.T) {
	from, to := newTree(t), filepath.Join(t.TempDir(), "to")
	try(t, Copy(t.Context(), to, from, Contents))
	want := seen(t, from)
	if diff := cmp.Diff(want, seen(t, to)); diff != "" {
		t.Errorf("(-from +to):\n%s", diff)
	}
	for p := range want {
		a, err := lstat(from + p)
		try(t, err)
		b, err := lstat(to + p)
		try(t, err)
		if a.Mtim != b.Mtim || a.Nlink != b.Nlink {
			t.Errorf("%s: modified %v, %d links; the copy %v, %d", p, a.Mtim, a.Nlink, b.Mtim, b.Nlink)
		}
	}
	if st, err := lstat(to + "/etc/holes"); err != nil || st.Blocks > 64 {
		t.Errorf("the hole was filled: %+v, %v", st, err)
	}
}

func TestCopyCapability(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	from, to := t.TempDir(), t.TempDir()
	try(t, os.WriteFile(from+"/ping", nil, 0o755))
	try(t, os.Chown(from+"/ping", 1, 1))
	// vfs_cap_data of revision 2 with cap_net_raw, <linux/capability.h>
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	try(t, unix.Lsetxattr(from+"/ping", "security.capability", capability, 0))
	try(t, Copy(t.Context(), to, from, Contents))
	if got, err := readXattr(to+"/ping", "security.capability"); err != nil || string(got) != string(capability) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCopyFails(t *testing.T) {
	from := newTree(t)
	full := func(to, from *os.File, size int64) error { return unix.ENOSPC }
	if err := Copy(t.Context(), t.TempDir(), from, full); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Copy(cancelled, t.TempDir(), from, Contents); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := Copy(t.Context(), t.TempDir(), from+"/none", Contents); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
