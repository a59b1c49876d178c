package operation

import (
	"slices"
	"strings"
	"testing"

	"plimsoll/storagebench"
)

// fillSize is the size of a pool, in bytes, that tests fill up: as little as
// will do, where that still tells ext4, which runs out of inodes, from what makes
// them as it goes.
func fillSize(info storagebench.Info) int64 {
	if info.Kind == storagebench.Union || info.Kind == storagebench.Copy || info.Name == "btrfs" {
		return 128 << 20
	}
	return QuirkPoolSize
}

func try(t *testing.T, name string) (departs []string) {
	t.Helper()
	b, _ := storagebench.Find(name)
	target := open(t, name, fillSize(b.Info()))
	findings, err := Quirks(t.Context(), target, QuirksOptions{Fill: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Found != "" {
			t.Logf("%s: %s", f.Name, f.Found)
			departs = append(departs, f.Name)
		}
	}
	return departs
}

// A plain directory on ext4 is what the others are held against.
func TestPlainDirectoryHasNoQuirks(t *testing.T) {
	if departs := try(t, "vfs"); len(departs) > 0 {
		t.Error(departs)
	}
}

// What overlayfs.rst says of itself: "Non-standard behavior" (b), "Renaming
// directories" and "Index" (where redirect_dir and index are off, as they are
// by default), "NFS export" (off), and "Upper and lower": an overlay is not
// valid as an upper directory.
func TestOverlayHasItsQuirks(t *testing.T) {
	departs := try(t, "overlay")
	for _, name := range []string{"shared_mapping", "hard_links", "rename_directory", "file_handles", "nested_overlay"} {
		if !slices.Contains(departs, name) {
			t.Errorf("%s holds, and should not", name)
		}
	}
	for _, name := range departs {
		switch name {
		case "shared_mapping", "hard_links", "rename_directory", "file_handles", "nested_overlay":
		case "unnamed_file": // since Linux 6.3
		default:
			t.Errorf("%s does not hold, and should", name)
		}
	}
}

func TestQuirksWantASmallPool(t *testing.T) {
	if _, err := Quirks(t.Context(), open(t, "vfs", 4<<30), QuirksOptions{Fill: true}); err == nil || !strings.Contains(err.Error(), "too much to fill up") {
		t.Error(err)
	}
}

// Clones on snapshots and devices are file systems as any other. What unions
// and ZFS do otherwise is theirs; that it can be found out is ours.
func TestQuirksAreFound(t *testing.T) {
	everyBackend(t, func(t *testing.T, name string) {
		if name == "vfs" || name == "overlay" {
			return // in tests of their own
		}
		b, _ := storagebench.Find(name)
		departs := try(t, name)
		if kind := b.Info().Kind; len(departs) > 0 && kind != storagebench.Union && name != "zfs" {
			t.Errorf("%v", departs)
		}
		if b.Info().Resurfaces != slices.Contains(departs, "rename_away") {
			t.Errorf("resurfaces: %v, and departs in %v", b.Info().Resurfaces, departs)
		}
	})
}
