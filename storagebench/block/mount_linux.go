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

	"github.com/moby/sys/mountinfo"
)

// Mkfs makes a file system with its own tool, mkfs.FSTYPE, and labels it as ours.
func Mkfs(ctx context.Context, fstype, device string, args ...string) error {
	_, err := Command(ctx, "mkfs."+fstype, append(append([]string{"-L", Label}, args...), device)...)
	return err
}

// Mount mounts a device, or what the file system takes for one, at dir.
func Mount(device, dir, fstype string, flags uintptr, data string) error {
	err := unix.Mount(device, dir, fstype, flags, data)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("mount %s: the kernel has no %s (modprobe %s, or CONFIG_%s_FS): %w",
			dir, fstype, fstype, strings.ToUpper(fstype), err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("mount %s on %s: %w (mounting needs root)", device, dir, err)
	}
	return fmt.Errorf("mount %s on %s, type %s, options %q: %w (see dmesg)", device, dir, fstype, data, err)
}

// Unmount unmounts all that is mounted at dir, and waits until the devices
// below are released. What is in use is detached only, and goes with the last
// that uses it: Device.Close finds out. A directory where nothing is mounted,
// or that is not there, is no error.
func Unmount(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(resolved(dir)))
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	busy := false
	for {
		err := unix.Unmount(dir, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			busy = true
			err = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
		// EINVAL: not, or no more, a mount point.
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	for _, m := range mounts {
		if busy {
			break
		}
		if err := released(m.Source); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	return nil
}

// resolved is the path that the kernel has for a mount point or a file. It is
// not looked at itself: what is mounted may be dead.
func resolved(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return dir
	}
	return filepath.Join(parent, filepath.Base(dir))
}

// released waits until no file system is on a device: opening it exclusively
// is EBUSY until then, open(2).
func released(device string) error {
	if !strings.HasPrefix(device, "/dev/") {
		return nil
	}
	for end := time.Now().Add(releaseTimeout); ; time.Sleep(2 * time.Millisecond) {
		f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK, 0)
		if err == nil {
			f.Close()
		}
		if !errors.Is(err, unix.EBUSY) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is still used %v later: %s", device, releaseTimeout, holders(device))
		}
	}
}
