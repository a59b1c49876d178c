package probe

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl opens a device, makes one request of it and closes it.
func ioctl(path string, flags int, request uintptr, arg unsafe.Pointer) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	if errno != 0 {
		return 0, fmt.Errorf("ioctl %s: %w", path, errno)
	}
	return int(r), nil
}

// Tun asks /dev/net/tun for its features. Making an interface would prove no
// more, and taking it away waits some 16 ms for the network stack.
func Tun() error {
	var features uint32
	_, err := ioctl("/dev/net/tun", unix.O_RDWR, unix.TUNGETFEATURES, unsafe.Pointer(&features))
	return err
}

// KVM gives the version of the interface: 12, for as long as there has been
// one (Documentation/virt/kvm/api.rst).
func KVM() (int, error) {
	const getAPIVersion = 0xAE00
	return ioctl("/dev/kvm", unix.O_RDWR, getAPIVersion, nil)
}

// Loop opens the control device, which is all that can be done without making
// a loop device.
func Loop() error {
	fd, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/loop-control: %w", err)
	}
	return unix.Close(fd)
}

// DeviceMapper lists the targets that are there, with their versions
// (include/uapi/linux/dm-ioctl.h, DM_LIST_VERSIONS). A target in a module
// that is not loaded is not listed.
func DeviceMapper() (map[string]string, error) {
	const listVersions, headerSize = 0xC138FD0D, 312
	buf := make([]byte, 16<<10)
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(buf[at:], v) }
	put(0, 4)                 // interface version 4.0.0
	put(12, uint32(len(buf))) // data_size
	put(16, headerSize)       // data_start
	if _, err := ioctl("/dev/mapper/control", unix.O_RDWR, listVersions, unsafe.Pointer(&buf[0])); err != nil {
		return nil, err
	}
	return dmTargets(buf, int(binary.NativeEndian.Uint32(buf[16:]))), nil
}

// dmTargets reads a list of struct dm_target_versions: offset of the next,
// three numbers, a name.
func dmTargets(buf []byte, at int) map[string]string {
	targets := map[string]string{}
	for at >= 0 && at+16 < len(buf) {
		next := int(binary.NativeEndian.Uint32(buf[at:]))
		v := func(i int) uint32 { return binary.NativeEndian.Uint32(buf[at+4+4*i:]) }
		if name := unix.ByteSliceToString(buf[at+16:]); name != "" {
			targets[name] = fmt.Sprintf("%d.%d.%d", v(0), v(1), v(2))
		}
		if next <= 0 {
			break
		}
		at += next
	}
	return targets
}
