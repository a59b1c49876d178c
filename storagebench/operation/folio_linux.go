package operation

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// writtenAtOnce is how much a file system may write, in bytes, for one dirty
// byte in the page cache. Since Linux 5.18 xfs keeps files in large folios, as
// large as readahead makes them, up to 2 MiB; until 6.6 the whole of one was
// dirty ("iomap: Add per-block dirty state tracking to improve performance").
// On 6.1, after a file was read with read(2), a byte makes 1 MiB.
func writtenAtOnce(root string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", root, err)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return 0, fmt.Errorf("uname: %w", err)
	}
	if fs.Type == unix.XFS_SUPER_MAGIC && wholeFolios(unix.ByteSliceToString(u.Release[:])) {
		return 2 << 20, nil
	}
	return 0, nil
}

// wholeFolios is true of Linux 5.18 to 6.5.
func wholeFolios(release string) bool {
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	return major == 5 && minor >= 18 || major == 6 && minor < 6
}
