package storagebench

import (
	"context"
	"debug/elf"
	"os"
	"slices"
	"strings"

	"plimsoll/storagebench/block"
)

// isZFSFuse tells whose tools zpool and zfs are. They know one implementation
// each, whatever else is there, and those of zfs-fuse have no libzfs. They are not
// asked: for an answer, those of zfs-fuse need its daemon.
func isZFSFuse() bool {
	if _, err := block.Find("zfs-fuse"); err != nil {
		return false
	}
	path, err := block.Find("zpool")
	if err != nil {
		return false
	}
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	return err == nil && !slices.ContainsFunc(libraries, func(l string) bool { return strings.HasPrefix(l, "libzfs.") })
}

// zfsVersion names what ZFS would be opened with, "" where there is none.
func zfsVersion() string {
	if _, err := block.Find("zpool"); err != nil {
		return ""
	}
	if isZFSFuse() {
		return "zfs-fuse"
	}
	version, _ := os.ReadFile("/sys/module/zfs/version") // once it is loaded
	return strings.TrimSpace("OpenZFS " + string(version))
}

// loadZFS makes sure that the kernel has OpenZFS.
func loadZFS(ctx context.Context) error {
	if _, err := zpools(ctx); err == nil {
		return nil
	}
	block.Command(ctx, "modprobe", "zfs") // zpools says whether that was it
	if _, err := zpools(ctx); err != nil {
		return &Missing{Backend: "zfs", Reason: err.Error(), Fix: "modprobe zfs, after apt-get install zfs-dkms"}
	}
	return nil
}
