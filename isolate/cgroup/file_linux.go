package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroup files are read and written by single system calls: the os package would
// register every descriptor with the poller, and the kernel parses each write by itself.

func writeFile(path, data string) error {
	fd, err := open(path, unix.O_WRONLY)
	if err == nil {
		_, err = retry(func() (int, error) { return unix.Write(fd, []byte(data)) })
		unix.Close(fd)
	}
	if err != nil {
		return &fs.PathError{Op: fmt.Sprintf("write %q to", data), Path: path, Err: err}
	}
	return nil
}

// readFile reads a whole file into buf, which grows when it must.
func readFile(path string, buf []byte) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY)
	if err != nil {
		return buf[:0], &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	buf = buf[:0]
	for {
		if cap(buf)-len(buf) < 1024 {
			buf = append(make([]byte, 0, 2*cap(buf)+4096), buf...)
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return buf, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n <= 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

func open(path string, flags int) (int, error) {
	return retry(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0) })
}

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

// gone says that a group has vanished: its path, or (ENODEV) what a descriptor
// that was opened in time stood for.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

func trim(b []byte) string { return string(bytes.TrimSpace(b)) }

func mkdir(dir string) error {
	if err := unix.Mkdir(dir, 0o755); err != nil {
		return &fs.PathError{Op: "make cgroup", Path: dir, Err: err}
	}
	return nil
}

// explained adds what an errno of a limit's write means, which the kernel
// documents in its sources only.
func explained(c *controller, version int, err error) error {
	hint := ""
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.name == Memory:
		hint = "boot with swapaccount=1; CONFIG_SWAP"
	case errors.Is(err, fs.ErrNotExist) && c.name == IO && strings.Contains(err.Error(), "weight"):
		hint = "needs CONFIG_BFQ_GROUP_IOSCHED with the scheduler loaded (modprobe bfq) or, on v2, CONFIG_BLK_CGROUP_IOCOST"
	case errors.Is(err, fs.ErrNotExist) && c.name == Hugetlb:
		hint = "the kernel has no huge pages of this size: see /sys/kernel/mm/hugepages"
	case errors.Is(err, unix.EPERM) && c.name == Devices:
		hint = "the group above does not have all of these devices"
	case errors.Is(err, fs.ErrNotExist):
		hint = "the kernel is too old for this file, or was built without " + c.in(version).config
	case c.name == IO && errors.Is(err, unix.ENODEV):
		hint = "no whole disk has this number: a partition cannot be throttled, name its disk"
	case c.name == IO && errors.Is(err, unix.EOPNOTSUPP):
		hint = "the device takes no throttling"
	case c.name == CPUSet && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE) || errors.Is(err, unix.EACCES)):
		hint = "a CPU or node that is not there, or not granted to the group above"
	case c.name == CPU && errors.Is(err, unix.EINVAL):
		hint = "the group above has a smaller quota"
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		hint = "the group was not delegated to this user"
	case errors.Is(err, unix.EROFS):
		hint = "cgroups are mounted read-only here"
	}
	if hint == "" {
		return fmt.Errorf("limit %s: %w", c.name, err)
	}
	return fmt.Errorf("limit %s: %w (hint: %s)", c.name, err, hint)
}
