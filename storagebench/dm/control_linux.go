package dm

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

const controlNode = "/dev/mapper/control"

// Control is an open /dev/mapper/control. Its methods may be called by several
// goroutines.
type Control struct{ file *os.File }

// Open opens the control node, which loads the module dm_mod where it is not;
// see [Loaded].
func Open() (*Control, error) {
	f, err := os.OpenFile(controlNode, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &Control{f}, nil
}

// Loaded says, without loading it, whether the kernel has the device mapper.
func Loaded() bool {
	_, err := os.Stat("/sys/class/misc/device-mapper")
	return err == nil
}

func (c *Control) Close() error { return c.file.Close() }

// Versions lists the target types that are loaded or built in.
func (c *Control) Versions() ([]Version, error) {
	_, data, err := c.call(unix.DM_LIST_VERSIONS, "list targets", request{room: 4 << 10})
	if err != nil {
		return nil, err
	}
	return parseVersions(data)
}

// Has says whether a target type is loaded or built in.
func (c *Control) Has(target string) (bool, error) {
	all, err := c.Versions()
	return slices.ContainsFunc(all, func(v Version) bool { return v.Type == target }), err
}

// List gives the names of all devices of the host.
func (c *Control) List() ([]string, error) {
	_, data, err := c.call(unix.DM_LIST_DEVICES, "list devices", request{room: 16 << 10})
	if err != nil {
		return nil, err
	}
	return parseNames(data)
}

// Info is what a device is.
type Info struct {
	UUID         string
	Major, Minor uint32
	Opens        int  // by file systems, programs and other tables
	Suspended    bool // what is asked of it waits
	Table        bool // it has one in use
}

// Path is the node that devtmpfs has made.
func (i Info) Path() string { return fmt.Sprintf("/dev/dm-%d", i.Minor) }

// Number is the device as a table names it: without a node.
func (i Info) Number() string { return fmt.Sprintf("%d:%d", i.Major, i.Minor) }

func info(head unix.DmIoctl) Info {
	return Info{
		UUID:  text(head.Uuid[:]),
		Major: unix.Major(head.Dev), Minor: unix.Minor(head.Dev),
		Opens:     int(head.Open_count),
		Suspended: head.Flags&unix.DM_SUSPEND_FLAG != 0,
		Table:     head.Flags&unix.DM_ACTIVE_PRESENT_FLAG != 0,
	}
}

// Info: ENXIO means that there is no such device.
func (c *Control) Info(name string) (Info, error) {
	head, _, err := c.call(unix.DM_DEV_STATUS, "look at", request{name: name})
	return info(head), err
}

// Create makes a device without a table.
func (c *Control) Create(name, uuid string) (Info, error) {
	head, _, err := c.call(unix.DM_DEV_CREATE, "create", request{name: name, uuid: uuid})
	return info(head), err
}

// Load gives a device a table, which Resume makes its own.
func (c *Control) Load(name string, table ...Target) error {
	data, err := encodeTable(table)
	if err != nil {
		return fmt.Errorf("device mapper: load table of %s: %w", name, err)
	}
	_, _, err = c.call(unix.DM_TABLE_LOAD, "load table of", request{name: name, targets: uint32(len(table)), data: data})
	return err
}

// Resume makes the table that was loaded last the device's own, and lets it run.
func (c *Control) Resume(name string) error {
	_, _, err := c.call(unix.DM_DEV_SUSPEND, "resume", request{name: name, event: udevLeave})
	return err
}

// Message sends the first target of a device a message.
func (c *Control) Message(name, message string) error {
	_, _, err := c.call(unix.DM_TARGET_MSG, message+": tell", request{name: name, data: encodeMessage(message)})
	return err
}

// Status gives what the targets of a device say of themselves. A thin pool
// commits its metadata first.
func (c *Control) Status(name string) ([]Target, error) {
	head, data, err := c.call(unix.DM_TABLE_STATUS, "ask", request{name: name, room: 4 << 10})
	if err != nil {
		return nil, err
	}
	return parseTable(data, head.Target_count)
}

// udevLeave has udev's rules leave a device alone: no links, no search for file
// systems, nothing mounted. The upper half of the cookie is DM_UDEV_*_FLAG of
// libdevmapper.h: DISABLE_DM_RULES, _SUBSYSTEM_RULES, _DISK_RULES,
// _OTHER_RULES and PRIMARY_SOURCE. The lower half names a semaphore to wake, or
// as here none: what dmsetup --noudevsync does.
const udevLeave = (0x1 | 0x2 | 0x4 | 0x8 | 0x40) << 16

// call makes a request again with more room where the reply did not fit.
func (c *Control) call(command uintptr, what string, r request) (unix.DmIoctl, []byte, error) {
	for {
		buf, err := r.encode()
		if err == nil {
			err = c.ioctl(command, buf)
		}
		var head unix.DmIoctl
		var data []byte
		if err == nil {
			head, data, err = decode(buf)
		}
		if err != nil {
			return head, nil, fmt.Errorf("device mapper: %s %s: %w", what, r.name, hint(command, err))
		}
		if head.Flags&unix.DM_BUFFER_FULL_FLAG == 0 {
			return head, data, nil
		}
		r.room = 4 * max(r.room, 4<<10)
	}
}

func (c *Control) ioctl(command uintptr, buf []byte) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		for {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, command, uintptr(unsafe.Pointer(&buf[0])))
			if errno != unix.EINTR {
				return
			}
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// hint says what the device mapper tells nobody but the kernel's log.
func hint(command uintptr, err error) error {
	if command == unix.DM_TABLE_LOAD && errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w (the kernel's log says why: dmesg)", err)
	}
	return err
}
