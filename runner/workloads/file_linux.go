package workloads

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"plimsoll/profiles"
)

// testFile is a file that is read and written in blocks.
type testFile struct {
	fd     int
	path   string
	direct bool
	block  int
	blocks int
	buffer []byte // one block, aligned to a page as O_DIRECT wants it
}

// newFile makes an empty file.
func newFile(path string, block int, direct bool) (*testFile, error) {
	if block%512 != 0 {
		return nil, fmt.Errorf("block %s is not a multiple of 512 bytes", profiles.FormatBytes(int64(block)))
	}
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_CLOEXEC
	if direct {
		flags |= unix.O_DIRECT
	}
	buffer, err := allocate[byte](block)
	if err != nil {
		return nil, err
	}
	putWords(buffer, 0) // some file systems do not store zeros
	fd, err := unix.Open(path, flags, 0o600)
	if err == nil {
		return &testFile{fd: fd, path: path, direct: direct, block: block, buffer: buffer}, nil
	}
	release(buffer)
	if direct && err == unix.EINVAL {
		return nil, fmt.Errorf("create %s: %w: %s has no direct I/O (choose another directory, or direct=false)", path, err, fileSystem(path))
	}
	return nil, fmt.Errorf("create %s: %w", path, err)
}

func (f *testFile) close() {
	unix.Close(f.fd)
	release(f.buffer)
}

// fill writes as many blocks as size holds, about a mebibyte at a time, and
// flushes them: no measurement is to meet a hole or allocate a block. Each
// word holds what [word] says of its offset.
func (f *testFile) fill(size int64) error {
	if f.blocks = int(size / int64(f.block)); f.blocks == 0 {
		return fmt.Errorf("block %s is larger than the file, size %s", profiles.FormatBytes(int64(f.block)), profiles.FormatBytes(size))
	}
	step := max(1, (1<<20)/f.block)
	buffer, err := allocate[byte](step * f.block)
	if err != nil {
		return err
	}
	defer release(buffer)
	for first := 0; first < f.blocks; first += step {
		part := buffer[:min(step, f.blocks-first)*f.block]
		offset := int64(first) * int64(f.block)
		putWords(part, offset)
		if err := f.transfer(unix.SYS_PWRITE64, part, offset); err != nil {
			return err
		}
	}
	return f.flush()
}

func (f *testFile) flush() error {
	if _, _, errno := unix.RawSyscall(unix.SYS_FSYNC, uintptr(f.fd), 0, 0); errno != 0 {
		return fmt.Errorf("flush %s: %w", f.path, errno)
	}
	return nil
}

// read and write move one block by a raw system call: Go's own would tell the
// scheduler of each, at a cost that shows beside fio. They are for a thread
// with nothing else to do.
func (f *testFile) read(block int) error {
	return f.transfer(unix.SYS_PREAD64, f.buffer, f.offset(block))
}
func (f *testFile) write(block int) error {
	return f.transfer(unix.SYS_PWRITE64, f.buffer, f.offset(block))
}

func (f *testFile) offset(block int) int64 { return int64(block) * int64(f.block) }

func (f *testFile) transfer(call uintptr, b []byte, offset int64) error {
	n, _, errno := unix.RawSyscall6(call, uintptr(f.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(offset), 0, 0)
	if errno == 0 && int(n) == len(b) {
		return nil
	}
	verb := map[uintptr]string{unix.SYS_PREAD64: "read", unix.SYS_PWRITE64: "write"}[call]
	switch {
	case errno == 0 && call == unix.SYS_PWRITE64:
		errno = unix.ENOSPC // a disk that is full cuts the last write short
		fallthrough
	case errno == unix.ENOSPC || errno == unix.EDQUOT:
		return fmt.Errorf("%s %s at byte %d: %w (choose a smaller size, or another directory)", verb, f.path, offset, errno)
	case errno == 0:
		return fmt.Errorf("%s %s at byte %d: only %d of %d bytes came", verb, f.path, offset, n, len(b))
	case errno == unix.EINVAL:
		return fmt.Errorf("%s %s at byte %d: %w (with direct=true, block must be a multiple of the device's sector; choose 4KiB)", verb, f.path, offset, errno)
	}
	return fmt.Errorf("%s %s at byte %d: %w", verb, f.path, offset, errno)
}

// generation tells the words of one writer of the file from those of another.
type generation uint64

const (
	filled generation = iota
	writtenInOrder
	writtenAtRandom
)

// word is what stands at an offset.
func word(offset int64, g generation) uint64 {
	return (uint64(offset) + uint64(g)<<56 + 1) * 0x9e3779b97f4a7c15
}

// putWords makes b what fill writes at an offset.
func putWords(b []byte, offset int64) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], word(offset+int64(i), filled))
	}
}

// stamp marks the first and the last word of a block; stamped looks at them:
// enough to know a block from any other, and nothing beside the time of a
// read or write.
func stamp(b []byte, offset int64, g generation) {
	binary.LittleEndian.PutUint64(b, word(offset, g))
	binary.LittleEndian.PutUint64(b[len(b)-8:], word(offset+int64(len(b)-8), g))
}

func stamped(b []byte, offset int64, g generation) bool {
	return binary.LittleEndian.Uint64(b) == word(offset, g) &&
		binary.LittleEndian.Uint64(b[len(b)-8:]) == word(offset+int64(len(b)-8), g)
}

// checkFilled looks at every word of the block in the buffer.
func (f *testFile) checkFilled(block int) error {
	for i := 0; i < f.block; i += 8 {
		offset := f.offset(block) + int64(i)
		if got, want := binary.LittleEndian.Uint64(f.buffer[i:]), word(offset, filled); got != want {
			return fmt.Errorf("read %s: found %#x at byte %d, and %#x was written", f.path, got, offset, want)
		}
	}
	return nil
}

// checkUncached asserts that direct I/O passed the page cache by: some file
// systems take O_DIRECT and serve it from there (tmpfs since Linux 6.6, ext4
// with data=journal). The file is mapped only to ask mincore(2) about it.
func (f *testFile) checkUncached() error {
	size := f.blocks * f.block
	mapped, err := unix.Mmap(f.fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", f.path, err)
	}
	defer unix.Munmap(mapped)
	pages := make([]byte, (size+os.Getpagesize()-1)/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(size), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		return fmt.Errorf("ask what of %s is cached: %w", f.path, errno)
	}
	cached := 0
	for _, p := range pages {
		cached += int(p & 1)
	}
	if cached > len(pages)/10 {
		return fmt.Errorf("direct I/O left %d of the %d pages of %s in the page cache: %s does not do it (choose another directory, or direct=false)",
			cached, len(pages), f.path, fileSystem(f.path))
	}
	return nil
}

// fileSystem names the type of the file system that path is on, or was.
func fileSystem(path string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &s); err != nil {
		return "the file system"
	}
	for _, fs := range []struct {
		magic int64
		name  string
	}{
		{unix.TMPFS_MAGIC, "tmpfs"},
		{unix.RAMFS_MAGIC, "ramfs"},
		{unix.OVERLAYFS_SUPER_MAGIC, "overlay"},
		{unix.EXT4_SUPER_MAGIC, "ext4"},
		{unix.XFS_SUPER_MAGIC, "xfs"},
		{unix.BTRFS_SUPER_MAGIC, "btrfs"},
		{unix.F2FS_SUPER_MAGIC, "f2fs"},
		{unix.FUSE_SUPER_MAGIC, "fuse"},
		{unix.NFS_SUPER_MAGIC, "nfs"},
		{unix.V9FS_MAGIC, "9p"},
		{0x2fc12fc1, "zfs"},
	} {
		if int64(s.Type) == fs.magic {
			return fs.name
		}
	}
	return fmt.Sprintf("the file system (type %#x)", s.Type)
}
