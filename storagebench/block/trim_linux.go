package block

import (
	"errors"
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wasteful reports whether the sparse file below a device holds a good deal more
// than the bytes that the file system on it has in use. File systems like to
// write where nothing was before: what clones leave behind would in the end
// make every file as large as it may become.
func (d *Device) wasteful(used int64) (bool, error) {
	if !d.made || d.loop == nil {
		return false, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(d.File, &st); err != nil {
		return false, fmt.Errorf("stat %s: %w", d.File, err)
	}
	return st.Blocks*512 > used+slack+st.Size/32, nil
}

// slack is what a journal and tables take that a file system does not count as
// used.
const slack = 64 << 20

// trim gives back what the file system that dir is on has free, as fstrim(8)
// does. Some file systems, and some below a loop device, cannot.
func trim(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	whole := struct{ start, length, least uint64 }{length: math.MaxUint64}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fiTrim, uintptr(unsafe.Pointer(&whole)))
	if errno != 0 && !errors.Is(errno, unix.EOPNOTSUPP) && !errors.Is(errno, unix.ENOTTY) {
		return fmt.Errorf("FITRIM %s: %w", dir, errno)
	}
	return nil
}

// fiTrim is FITRIM, _IOWR('X', 121, struct fstrim_range), of linux/fs.h.
const fiTrim = 0xc0185879
