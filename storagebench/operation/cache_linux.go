package operation

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resident says how many bytes of a file are in the page cache: mincore(2) on a
// mapping of it. cachestat(2) would not do: it looks at the pages of the inode
// that was opened, and an overlay's have none, they belong to the inode in the
// layer, as does what a mapping shows.
func resident(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, fmt.Errorf("map %s: %w", path, err)
	}
	defer unix.Munmap(mapped)
	page := os.Getpagesize()
	pages := make([]byte, (len(mapped)+page-1)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		return 0, fmt.Errorf("ask what of %s is cached: mincore: %w", path, errno)
	}
	cached := int64(0)
	for _, p := range pages {
		cached += int64(p&1) * int64(page)
	}
	return min(cached, info.Size()), nil
}

// ErrNotCold says that a file could not be brought out of memory: what lies
// below a FUSE file system stays, and so does the ARC of ZFS and what is in
// memory anyhow.
var ErrNotCold = errors.New("a start from cold is not to be had here")

// evict takes a file out of the page cache of its file system, without a look
// at the host's other files. The file must be clean.
func evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("evict %s: fadvise: %w", path, err)
	}
	left, err := resident(path)
	if errors.Is(err, unix.ENODEV) { // FUSE without a cache: there was nothing
		return nil
	}
	if err == nil && left > 0 {
		err = fmt.Errorf("%w: %d bytes of %s stayed in the page cache (is it in memory?)", ErrNotCold, left, path)
	}
	return err
}

// readAll reads a file to its end, with advice to the kernel, as FADV_RANDOM for
// no readahead.
func readAll(path string, advice int, buffer []byte) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Fadvise(fd, 0, 0, advice); err != nil {
		return fmt.Errorf("read %s: fadvise: %w", path, err)
	}
	for {
		n, err := unix.Read(fd, buffer)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if n == 0 {
			return nil
		}
	}
}

// mapAll has the kernel map all of a file, as a program that touches every page
// of it would. A page that cannot be read is left out: touching it would have
// killed the process.
func mapAll(path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	return unix.Munmap(mapped)
}
