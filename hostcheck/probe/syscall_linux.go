package probe

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is a system call that was tried, and what it answered.
type Call struct {
	Name  string // as a trace would show it
	Err   error  // nil: the kernel can do it
	Value int    // what it tells beyond yes, as Landlock's ABI
}

// Clone3 asks for no process: with a size of 0 the call is known and refused.
func Clone3() Call {
	_, _, errno := unix.Syscall(unix.SYS_CLONE3, 0, 0, 0)
	return Call{Name: "clone3(NULL, 0)", Err: expect(errno, unix.EINVAL)}
}

// expect turns the errno by which a known call refuses bad arguments into nil.
func expect(errno unix.Errno, known ...unix.Errno) error {
	for _, k := range known {
		if errno == k {
			return nil
		}
	}
	if errno == 0 {
		return nil
	}
	return errno
}

// PidFD opens one on this process.
func PidFD() Call {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		unix.Close(fd)
	}
	return Call{Name: "pidfd_open(getpid(), 0)", Err: err}
}

// OpenAt2 opens / within itself.
func OpenAt2() Call {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err == nil {
		unix.Close(fd)
	}
	return Call{Name: "openat2(/, RESOLVE_IN_ROOT)", Err: err}
}

// CloseRange closes nothing.
func CloseRange() Call {
	return Call{Name: "close_range(~0, ~0, 0)", Err: unix.CloseRange(^uint(0)>>32, ^uint(0)>>32, 0)}
}

// IOURing makes the smallest ring and closes it.
func IOURing() Call {
	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno == 0 {
		unix.Close(int(fd))
	}
	return Call{Name: "io_uring_setup(1)", Err: expect(errno)}
}

// Landlock asks for the version of its interface.
func Landlock() Call {
	const createRulesetVersion = 1
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, createRulesetVersion)
	return Call{Name: "landlock_create_ruleset(NULL, 0, VERSION)", Err: expect(errno), Value: int(abi)}
}

// SeccompFilter offers no filter: EFAULT shows that one would be taken
// (seccomp(2)); EACCES would be for want of no_new_privs, which comes first
// only when the filter can be read.
func SeccompFilter() Call {
	_, _, errno := unix.Syscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0)
	return Call{Name: "prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL)", Err: expect(errno, unix.EFAULT)}
}

// SeccompNotify asks for the action that lets another process answer
// (Linux 5.0), which container managers use to emulate mknod and mount.
func SeccompNotify() Call {
	const getActionAvail, userNotif = 2, 0x7fc00000
	action := uint32(userNotif)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, getActionAvail, 0, uintptr(unsafe.Pointer(&action)))
	return Call{Name: "seccomp(SECCOMP_GET_ACTION_AVAIL, USER_NOTIF)", Err: expect(errno)}
}

// SessionKeyring asks for the session keyring without making one.
func SessionKeyring() Call {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if errors.Is(err, unix.ENOKEY) || errors.Is(err, unix.EKEYREVOKED) {
		err = nil // it knows keyrings, and has none for us
	}
	return Call{Name: "keyctl(KEYCTL_GET_KEYRING_ID, SESSION)", Err: err}
}

// MountAPI opens a context for a tmpfs (fsopen(2), Linux 5.2).
func MountAPI() Call {
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	return Call{Name: "fsopen(tmpfs)", Err: err}
}

// Userfaultfd opens one and closes it.
func Userfaultfd() Call {
	const userModeOnly = 1
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|userModeOnly, 0, 0)
	if errno == 0 {
		unix.Close(int(fd))
	}
	return Call{Name: "userfaultfd(UFFD_USER_MODE_ONLY)", Err: expect(errno)}
}

// Kcmp compares this process's descriptor 0 with itself.
func Kcmp() Call {
	const kcmpFile = 0
	pid := uintptr(os.Getpid())
	_, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, 0, 0, 0)
	return Call{Name: "kcmp(self, self, KCMP_FILE)", Err: expect(errno, unix.EBADF)}
}

// ClockSynchronized asks the kernel whether something keeps its clock right
// (adjtimex(2)): that is set by chrony, ntpd and systemd-timesyncd alike.
func ClockSynchronized() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, err
	}
	const timeError = 5
	return state != timeError && t.Status&unix.STA_UNSYNC == 0, nil
}

// IDMapped maps a detached copy of the mount at dir through a user namespace
// (mount_setattr(2), Linux 5.12, and later by file system). It needs
// CAP_SYS_ADMIN.
func IDMapped(dir string) error {
	holder, err := holdUserNamespace()
	if err != nil {
		return err
	}
	defer holder.release()
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree(%s): %w", dir, err)
	}
	defer unix.Close(tree)
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(holder.ns)})
	if err != nil {
		return fmt.Errorf("mount_setattr(%s, MOUNT_ATTR_IDMAP): %w", dir, err)
	}
	return nil
}
