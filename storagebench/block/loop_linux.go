package block

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Loop makes a loop device on a new sparse file of size bytes, or, where size
// is 0, on a file that exists. Close clears it, and removes a file that Loop
// made; where the process dies before, the kernel clears it once nothing on it
// is mounted.
func Loop(ctx context.Context, file string, size int64) (*Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	flags := os.O_RDWR
	if size > 0 {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(file, flags, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the kernel has a reference of its own
	var d *Device
	if size > 0 {
		err = f.Truncate(size)
	}
	if err == nil {
		d, err = attachNew(ctx, f, 0, 0)
	}
	if err != nil {
		if size > 0 {
			os.Remove(file)
		}
		return nil, fmt.Errorf("loop device on %s: %w", file, err)
	}
	d.File, d.made = file, size > 0
	return d, nil
}

// attachNew gives a file a loop device that was free; a size of 0 is all that
// there is from the offset on.
func attachNew(ctx context.Context, f *os.File, offset, size uint64) (*Device, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w (modprobe loop; CONFIG_BLK_DEV_LOOP; /dev/loop-control must be there)", err)
	}
	defer control.Close()
	for {
		free, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("LOOP_CTL_GET_FREE: %w", err)
		}
		d, err := attach(fmt.Sprintf("/dev/loop%d", free), f, offset, size)
		// Free is what it was then: another process may have been quicker.
		if !errors.Is(err, unix.EBUSY) || ctx.Err() != nil {
			return d, err
		}
	}
}

func attach(path string, f *os.File, offset, size uint64) (*Device, error) {
	loop, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w (devtmpfs makes it; or mknod by hand, block major 7)", err)
	}
	d := &Device{Path: path, loop: loop}
	if err := d.configure(f, offset, size); err != nil {
		loop.Close()
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(loop.Fd()), &st); err != nil {
		loop.Close() // clears it
		return nil, fmt.Errorf("stat %s: %w", path, err)
	}
	d.number = st.Rdev
	info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	if err != nil {
		loop.Close()
		return nil, fmt.Errorf("%s: LOOP_GET_STATUS64: %w", path, err)
	}
	// Where direct I/O is not possible the kernel drops the flag and goes on.
	d.Direct = info.Flags&unix.LO_FLAGS_DIRECT_IO != 0
	return d, nil
}

func (d *Device) configure(f *os.File, offset, size uint64) error {
	fd := int(d.loop.Fd())
	c := unix.LoopConfig{Fd: uint32(f.Fd()), Size: sectorFor(f)}
	c.Info.Offset, c.Info.Sizelimit = offset, size
	c.Info.Flags = unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO
	copy(c.Info.File_name[:len(c.Info.File_name)-1], f.Name())
	err := unix.IoctlLoopConfigure(fd, &c)
	if err == nil || errors.Is(err, unix.EBUSY) {
		return err
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%s: LOOP_CONFIGURE: %w", d.Path, err)
	}
	// Linux before 5.8 has it not: the same in steps.
	if err := unix.IoctlSetInt(fd, unix.LOOP_SET_FD, int(f.Fd())); err != nil {
		return fmt.Errorf("%s: LOOP_SET_FD: %w", d.Path, err)
	}
	info := c.Info
	info.Flags = unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopSetStatus64(fd, &info); err != nil {
		unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0)
		return fmt.Errorf("%s: LOOP_SET_STATUS64: %w", d.Path, err)
	}
	if c.Size != 0 {
		unix.IoctlSetInt(fd, unix.LOOP_SET_BLOCK_SIZE, int(c.Size))
	}
	unix.IoctlSetInt(fd, unix.LOOP_SET_DIRECT_IO, 1) // Direct says whether it worked
	return nil
}

// sectorFor is the sector size with which the file can be read and written
// directly, 0 for the loop driver's own (512): requests must be aligned as the
// device below wants them (statx(2), STATX_DIOALIGN, since Linux 6.1).
func sectorFor(f *os.File) uint32 {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 || st.Dio_offset_align <= 512 || st.Dio_offset_align > 4096 {
		return 0
	}
	return st.Dio_offset_align
}

// Grow makes the file below a loop device and the device larger.
func (d *Device) Grow(size int64) error {
	if d.File == "" {
		return fmt.Errorf("%s has no file that could grow", d.Path)
	}
	if err := os.Truncate(d.File, size); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(d.loop.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("%s: LOOP_SET_CAPACITY: %w", d.Path, err)
	}
	return nil
}

// releaseTimeout is how long the last users of a device may take: udev looks
// at each new one, a detached mount goes with its last open file, and a container
// that is being started anywhere on the host has a copy of all mounts until it
// has left the old root: seconds, on a host that is busy.
const releaseTimeout = 15 * time.Second

// Detach gives the device up, and removes a file that Loop made. The device is
// cleared now or when the last that uses it ends: that is what Close waits for.
func (d *Device) Detach() error {
	if d.loop == nil {
		return nil
	}
	d.loop.Close()
	d.loop = nil
	if !d.made {
		return nil
	}
	if err := os.Remove(d.File); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Close is Detach, and an error where the device is still in use after a while.
// It can be called again.
func (d *Device) Close() error {
	err := d.Detach()
	backing := filepath.Join("/sys/block", filepath.Base(d.Path), "loop/backing_file")
	for end := time.Now().Add(releaseTimeout); d.File != ""; time.Sleep(2 * time.Millisecond) {
		name, readErr := os.ReadFile(backing)
		if readErr != nil || strings.TrimSuffix(strings.TrimSpace(string(name)), " (deleted)") != resolved(d.File) {
			break
		}
		if time.Now().After(end) {
			return errors.Join(err, fmt.Errorf("%s on %s is still in use %v after it was given up: %s", d.Path, d.File, releaseTimeout, holders(d.Path)))
		}
	}
	return err
}
