package operation

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// extent is where a part of a file lies on its file system's device, in bytes.
type extent struct{ physical, length uint64 }

// Documentation/filesystems/fiemap.rst; <linux/fiemap.h>
const (
	fsIocFiemap = 0xc020660b
	fiemapSync  = 0x1

	extentLast    = 0x1
	extentUnknown = 0x2   // has no place
	extentDelayed = 0x4   // has none yet
	extentInline  = 0x200 // in the inode, or in the tree
)

type fiemapExtent struct {
	Logical, Physical, Length uint64
	_                         [2]uint64
	Flags                     uint32
	_                         [3]uint32
}

type fiemap struct {
	Start, Length              uint64
	Flags, Mapped, Count, _pad uint32
	Extents                    [128]fiemapExtent
}

// extents says where a file lies, once it is written back; nothing where its
// file system does not tell (FUSE, tmpfs, ZFS). An overlay tells where the file
// in the layer lies that it shows.
func extents(path string) (found []extent, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for start := uint64(0); ; {
		m := fiemap{Start: start, Length: ^uint64(0) - start, Flags: fiemapSync}
		m.Count = uint32(len(m.Extents))
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsIocFiemap, uintptr(unsafe.Pointer(&m)))
		if errors.Is(errno, unix.EOPNOTSUPP) || errors.Is(errno, unix.ENOTTY) || errors.Is(errno, unix.ENOSYS) {
			return nil, nil
		}
		if errno != 0 {
			return nil, fmt.Errorf("ask where %s lies: FIEMAP: %w", path, errno)
		}
		for _, e := range m.Extents[:m.Mapped] {
			if e.Flags&(extentUnknown|extentDelayed|extentInline) == 0 {
				found = append(found, extent{e.Physical, e.Length})
			}
			if e.Flags&extentLast != 0 {
				return found, nil
			}
			start = e.Logical + e.Length
		}
		if m.Mapped == 0 {
			return found, nil
		}
	}
}

// overlap says whether a byte of the device is in both.
func overlap(a, b []extent) bool {
	for _, x := range a {
		for _, y := range b {
			if x.physical < y.physical+y.length && y.physical < x.physical+x.length {
				return true
			}
		}
	}
	return false
}

// reflinks says whether files below root can share extents: an overlay whose
// layers are on such a file system copies nothing up, it clones.
func reflinks(root string) (bool, error) {
	from, err := os.CreateTemp(root, ".reflink-")
	if err != nil {
		return false, err
	}
	defer os.Remove(from.Name())
	defer from.Close()
	if _, err := from.Write(make([]byte, 64<<10)); err != nil {
		return false, fmt.Errorf("write %s: %w", from.Name(), err)
	}
	to, err := os.CreateTemp(root, ".reflink-")
	if err != nil {
		return false, err
	}
	defer os.Remove(to.Name())
	defer to.Close()
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd())) == nil, nil
}
