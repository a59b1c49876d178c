package isolate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempts are what a program in a container may try against its host. Each
// is one step that a known way out takes, chosen so that to succeed does no
// harm. They run in turn; see TestEscapes.
var attempts = []struct {
	name string
	try  func() error
	want syscall.Errno // in a hardened container; ENOENT too where the host has not the file
}{
	{"mount a file system", func() error { return unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "") }, unix.EPERM},
	{"mount by the new interface", call(unix.SYS_FSOPEN, str("tmpfs"), 0), unix.EPERM},
	{"unmount what hides a path", func() error { return unix.Unmount("/dev/shm", unix.MNT_DETACH) }, unix.EPERM},
	{"make proc writable again", func() error { return unix.Mount("", "/proc", "", unix.MS_REMOUNT|unix.MS_BIND, "") }, unix.EPERM},
	{"mount the cgroups", func() error { return unix.Mount("cgroup2", "/data", "cgroup2", 0, "") }, unix.EPERM},
	{"mount cgroups that have a release agent", func() error { return unix.Mount("cgroup", "/data", "cgroup", 0, "memory") }, unix.EPERM},
	{"mount the kernel's tracing", func() error { return unix.Mount("tracefs", "/data", "tracefs", 0, "") }, unix.EPERM},
	{"copy a mount", call(unix.SYS_OPEN_TREE, atCurrent, str("/nowhere"), 0), unix.EPERM},
	{"change a mount", call(unix.SYS_MOUNT_SETATTR, atCurrent, str("/nowhere"), 0, 0, 0), unix.EPERM},
	{"pivot_root", call(unix.SYS_PIVOT_ROOT, str("/nowhere"), str("/nowhere")), unix.EPERM},

	{"user namespace", func() error { return unshare(unix.CLONE_NEWUSER) }, unix.EPERM},
	{"mount namespace", func() error { return unshare(unix.CLONE_NEWNS) }, unix.EPERM},
	{"network namespace", func() error { return unshare(unix.CLONE_NEWNET) }, unix.EPERM},
	{"cgroup namespace, as for a release agent (CVE-2022-0492)", func() error { return unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP) }, unix.EPERM},
	{"user namespace by clone", call(unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_FS, 0), unix.EPERM}, // EINVAL if it comes through
	{"user namespace by clone3", call(435 /* clone3 */, 0, 0), unix.ENOSYS},
	{"enter a namespace", enterNamespace, unix.EPERM},

	{"read the harness's memory", func() error { return readMemory(harness()) }, unix.ESRCH},
	{"signal the harness", func() error { return unix.Kill(harness(), 0) }, unix.ESRCH},
	{"hold the harness", func() error { return opened(unix.PidfdOpen(harness(), 0)) }, unix.ESRCH},
	{"attach to the harness", func() error { return seize(harness()) }, unix.ESRCH},
	{"look into the harness's root", func() error { _, err := os.Stat(fmt.Sprintf("/proc/%d/root", harness())); return err }, unix.ENOENT},
	{"connect to the harness's abstract socket", connectAbstract, unix.ECONNREFUSED},
	{"signal a neighbour", func() error { return unix.Kill(fromEnvironment("PLIMSOLL_NEIGHBOUR"), 0) }, unix.ESRCH},
	{"attach to a neighbour", func() error { return seize(fromEnvironment("PLIMSOLL_NEIGHBOUR")) }, unix.ESRCH},

	{"open the kernel's log device", func() error { return openDevice(unix.S_IFCHR, unix.Mkdev(1, 11)) }, unix.EPERM},
	{"open the host's memory", func() error { return openDevice(unix.S_IFCHR, unix.Mkdev(1, 1)) }, unix.EPERM},
	{"open a disk", func() error { return openDevice(unix.S_IFBLK, disk()) }, unix.EPERM},

	{"write /proc/sysrq-trigger", openToWrite("/proc/sysrq-trigger"), unix.EROFS},
	{"write core_pattern", openToWrite("/proc/sys/kernel/core_pattern"), unix.EROFS},
	{"write the path of modprobe", openToWrite("/proc/sys/kernel/modprobe"), unix.EROFS},
	{"write an interrupt's affinity", openToWrite("/proc/irq/default_smp_affinity"), unix.EROFS},
	{"write uevent_helper", openToWrite("/sys/kernel/uevent_helper"), unix.EROFS},
	{"read the kernel's memory", readsNothing("/proc/kcore"), unix.ENODATA},
	{"read the kernel's timers", readsNothing("/proc/timer_list"), unix.ENODATA},
	{"read the kernel's interrupts", readsNothing("/proc/interrupts"), unix.ENODATA},
	{"list the firmware", listsNothing("/sys/firmware"), unix.ENODATA},

	{"session keyring", call(unix.SYS_KEYCTL, unix.KEYCTL_GET_KEYRING_ID, 0xfffffffe, 1), unix.EPERM}, // of the process
	{"add a key", call(unix.SYS_ADD_KEY, 0, 0, 0, 0, 0), unix.EPERM},
	{"request a key", call(unix.SYS_REQUEST_KEY, 0, 0, 0, 0), unix.EPERM},
	{"userfaultfd", call(unix.SYS_USERFAULTFD, 0), unix.EPERM},
	{"listen to file systems", call(unix.SYS_FANOTIFY_INIT, 0, 0), unix.EPERM},
	{"read the kernel's log", call(unix.SYS_SYSLOG, 3 /* SYSLOG_ACTION_READ_ALL */, 0, 0), unix.EPERM},
	{"bpf", call(unix.SYS_BPF, 99, 0, 0), unix.EPERM},
	{"perf_event_open", call(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0), unix.EPERM},
	{"io_uring", call(unix.SYS_IO_URING_SETUP, 0, 0), unix.EPERM},
	{"open a file by its handle", call(unix.SYS_OPEN_BY_HANDLE_AT, 99, 0, 0), unix.EPERM},
	{"load a kernel", call(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0xffff), unix.EPERM},
	{"load a kernel from a file", call(unix.SYS_KEXEC_FILE_LOAD, 99, 99, 0, 0, 0xffff), unix.EPERM},
	{"insert a module", call(unix.SYS_INIT_MODULE, 0, 0, 0), unix.EPERM},
	{"remove a module", call(unix.SYS_DELETE_MODULE, str("nowhere"), 0), unix.EPERM},
	{"load a module", call(unix.SYS_FINIT_MODULE, 99, 0, 0), unix.EPERM},
	{"reboot", call(unix.SYS_REBOOT, 0, 0, 0), unix.EPERM}, // EINVAL: the magic numbers are missing
	{"set the clock", call(unix.SYS_SETTIMEOFDAY, 0, 0), unix.EPERM},
	{"set one clock", call(unix.SYS_CLOCK_SETTIME, unix.CLOCK_REALTIME, 0), unix.EPERM},
	{"swap", call(unix.SYS_SWAPOFF, str("/nowhere")), unix.EPERM},
	{"swap on", call(unix.SYS_SWAPON, str("/nowhere"), 0), unix.EPERM},
	{"quota", call(unix.SYS_QUOTACTL, 0x800002<<8 /* Q_QUOTAON */, str("/nowhere"), 0, 0), unix.EPERM},
	{"account", call(unix.SYS_ACCT, str("/nowhere")), unix.EPERM},
	{"address space of exploits", call(unix.SYS_PERSONALITY, 0x0040000), unix.EPERM}, // ADDR_NO_RANDOMIZE
	{"hypervisor's socket", call(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM, 0), unix.EPERM},
	{"a call of the future", call(2000), unix.ENOSYS},

	{"a capability back", capabilityBack, unix.EPERM},
	{"be spared when memory runs out", func() error { return os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) }, unix.EACCES},
	{"go before the host's processes", func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -1) }, unix.EACCES},
	{"raise a hard limit", raiseLimit, unix.EPERM},

	{"chroot and climb", climb, unix.ENOENT},
	{"the root of process 1", func() error { _, err := os.Stat("/proc/1/root" + os.Getenv("PLIMSOLL_MARKER")); return err }, unix.ENOENT},
	{"the harness's executable", func() error { return sameFile("/proc/1/exe", os.Getenv("PLIMSOLL_EXE")) }, unix.ENODATA},
	{"descriptors of the harness", inherited, unix.ENODATA},
}

func init() {
	acts["escape"] = func() error {
		only := os.Getenv("PLIMSOLL_ONLY")
		for _, a := range attempts {
			if only != "" && !strings.Contains(only, "|"+a.name+"|") {
				continue
			}
			result := "ok"
			if err := a.try(); err != nil {
				result = err.Error()
				var errno syscall.Errno
				if errors.As(err, &errno) {
					result = unix.ErrnoName(errno)
				}
			}
			fmt.Printf("%s\t%s\n", a.name, result)
		}
		return nil
	}
	acts["breed"] = breed
	acts["peek"] = func() error { return peek(fromEnvironment("PLIMSOLL_TARGET")) }
	acts["hunt"] = hunt
	acts["type"] = func() error {
		c := byte('x')
		return call(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))()
	}
}

// str keeps a string for a raw system call.
func str(s string) uintptr {
	b, _ := unix.BytePtrFromString(s)
	kept = append(kept, b)
	return uintptr(unsafe.Pointer(b))
}

var kept []*byte

func call(nr uintptr, args ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], args)
		if _, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}
}

// unshare is tried in a process of its own: a thread of several may not.
func unshare(flags uintptr) error {
	return inChild(func() syscall.Errno {
		_, _, errno := unix.RawSyscall(unix.SYS_UNSHARE, flags, 0, 0)
		return errno
	})
}

// inChild makes a system call in a forked child, which does nothing else.
func inChild(try func() syscall.Errno) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(try()), 0, 0)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		return err
	}
	if code := status.ExitStatus(); code != 0 {
		return syscall.Errno(code)
	}
	return nil
}

func enterNamespace() error {
	fd, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWUTS)
}

func harness() int { return fromEnvironment("PLIMSOLL_HARNESS") }

func fromEnvironment(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

const atCurrent = ^uintptr(0) - 99 // AT_FDCWD

// seize attaches to a process without stopping it, until this one ends.
func seize(pid int) error {
	return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, 0)()
}

// peek opens a process's memory, and attaches to it.
func peek(pid int) error {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	if seizeErr := seize(pid); seizeErr != nil {
		err = fmt.Errorf("%v, attach: %w", err, seizeErr)
	}
	return err
}

// hunt is a container's first process, and peeks into the next one that has
// dropped its privileges.
func hunt() error {
	fmt.Println("ready")
	for {
		list, _ := filepath.Glob("/proc/[0-9]*/status")
		for _, path := range list {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			b, _ := os.ReadFile(path)
			if pid != os.Getpid() && strings.Contains(string(b), defaultPermitted) {
				return peek(pid)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// defaultPermitted is DockerDefault in proc_pid_status(5).
const defaultPermitted = "\nCapPrm:\t00000000a80425fb\n"

func connectAbstract() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: os.Getenv("PLIMSOLL_SOCKET")})
}

// capabilityBack takes CAP_SYS_ADMIN, where it has not got it.
func capabilityBack() error {
	header, sets := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Permitted |= 1 << unix.CAP_SYS_ADMIN
	sets[0].Effective |= 1 << unix.CAP_SYS_ADMIN
	return unix.Capset(&header, &sets[0])
}

func raiseLimit() error {
	const messageQueues = 12 // RLIMIT_MSGQUEUE
	var now unix.Rlimit
	if err := unix.Prlimit(0, messageQueues, nil, &now); err != nil {
		return err
	}
	return unix.Prlimit(0, messageQueues, &unix.Rlimit{Cur: now.Cur, Max: now.Max + 1}, nil)
}

func disk() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("PLIMSOLL_DISK"), 10, 64)
	return n
}

// readMemory fails with EFAULT where it might: nothing is at that address.
func readMemory(pid int) error {
	var b [1]byte
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 8, Len: 1}}, 0)
	return err
}

func openDevice(kind uint32, dev uint64) error {
	path := "/device" // where the mount has not nodev
	defer os.Remove(path)
	if err := unix.Mknod(path, kind|0o600, int(dev)); err != nil {
		return fmt.Errorf("mknod: %v", err) // allowed, as Docker does
	}
	return opened(unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK, 0))
}

func openToWrite(path string) func() error {
	return func() error { return opened(unix.Open(path, unix.O_WRONLY, 0)) }
}

func opened(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func readsNothing(path string) func() error {
	return func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if n, err := f.Read(make([]byte, 64)); n > 0 || err != io.EOF {
			return err
		}
		return unix.ENODATA
	}
}

func listsNothing(dir string) func() error {
	return func() error {
		list, err := os.ReadDir(dir)
		if err == nil && len(list) == 0 {
			err = unix.ENODATA
		}
		return err
	}
}

// climb is the old way out of a chroot, and looks for a file of the host's
// where it comes out.
func climb() error {
	if err := os.MkdirAll("/tmp/cell", 0o755); err != nil {
		return err
	}
	return inChild(func() syscall.Errno {
		unix.RawSyscall(unix.SYS_CHROOT, cell, 0, 0) // the working directory stays outside
		for range 64 {
			unix.RawSyscall(unix.SYS_CHDIR, up, 0, 0)
		}
		unix.RawSyscall(unix.SYS_CHROOT, here, 0, 0)
		if _, _, errno := unix.RawSyscall6(unix.SYS_FACCESSAT, 0, act, 0, 0, 0, 0); errno != 0 {
			return unix.ENOTTY // the climb itself does not work: the test proves nothing
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_FACCESSAT, 0, marker, 0, 0, 0, 0)
		return errno
	})
}

var cell, up, here, act, marker = str("/tmp/cell"), str(".."), str("."), str("/act"), str(os.Getenv("PLIMSOLL_MARKER"))

// sameFile is nil if the path is the file of those device and inode numbers.
func sameFile(path, number string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	if fmt.Sprintf("%d:%d", st.Dev, st.Ino) != number {
		return unix.ENODATA
	}
	return nil
}

// inherited is nil if there is a descriptor besides the standard ones, and
// those of Go's runtime.
func inherited() error {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return err
	}
	for _, l := range links {
		to, err := os.Readlink(l)
		if n, _ := strconv.Atoi(filepath.Base(l)); n > 2 && err == nil && !strings.HasPrefix(to, "anon_inode:") {
			return nil
		}
	}
	return unix.ENODATA
}

// breed forks until it is refused, and prints how often it was not.
func breed() error {
	for n := range 200 {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			fmt.Println(n, unix.ErrnoName(errno))
			return nil
		}
		for pid == 0 {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
	fmt.Println("200 without end")
	return nil
}
