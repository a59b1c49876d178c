package launch

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Features is a set of what newer kernels offer, and a launch does without
// where it is missing. The kernel lacks a feature also when an outer
// container's seccomp filter refuses the call.
type Features uint

const (
	Clone3 Features = 1 << iota
	ClearSighand
	IntoCgroup
	CloseRange
	Pidfd
	TimeNamespace
	TimeExec
	UserOverlay
	Openat2
)

// Has reports whether all of those are in the set.
func (f Features) Has(those Features) bool { return f&those == those }

// Feature describes one.
type Feature struct {
	Bit     Features
	Name    string
	Since   string // release of Linux
	Without string // what is done instead
}

// KnownFeatures are all of them.
var KnownFeatures = []Feature{
	{Clone3, "clone3", "5.3", "clone makes the child; time namespaces are entered by execve only"},
	{ClearSighand, "clear_sighand", "5.5", "the child resets its signal handlers one by one"},
	{IntoCgroup, "into_cgroup", "5.7", "the child moves itself to its cgroup, which takes a lock of the whole system"},
	{CloseRange, "close_range", "5.9", "the child gets a copy of the descriptor table and closes one after another"},
	{Pidfd, "pidfd", "5.3", "the end of a process is looked for every 100 µs while there is a deadline"},
	{TimeNamespace, "time_namespace", "5.6", "containers with a time namespace are refused"},
	{TimeExec, "time_exec", "6.3", "time namespaces cost a copy of the harness's page tables and have no offset"},
	{UserOverlay, "user_overlay", "5.11", "overlay in a user namespace is mounted without userxattr, which only kernels patched by their distribution allow"},
	{Openat2, "openat2", "5.6", "links in an image that lead through /proc/self to the host's files are followed: use images that you trust"},
}

// Facts says of every feature, given those that are missing, whether it is
// used: "yes", or "no" and what is done instead.
func (f Features) Facts() map[string]string {
	facts := map[string]string{}
	for _, k := range KnownFeatures {
		facts[k.Name] = "yes"
		if f.Has(k.Bit) {
			facts[k.Name] = fmt.Sprintf("no (Linux %s has it, unless a seccomp filter or its configuration takes it away): %s", k.Since, k.Without)
		}
	}
	return facts
}

// MissingFeatures asks the kernel what it lacks, by calls that cannot succeed:
// the errno tells. No process is made.
func MissingFeatures() Features {
	var missing Features
	lacks := func(f Features, it bool) {
		if it {
			missing |= f
		}
	}
	// A struct clone_args of no size: EINVAL from who knows the call.
	_, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
	lacks(Clone3, errno != syscall.EINVAL)
	lacks(ClearSighand, missing.Has(Clone3) || !cloneKnows(unix.CLONE_CLEAR_SIGHAND))
	lacks(IntoCgroup, missing.Has(Clone3) || !cloneKnows(unix.CLONE_INTO_CGROUP))
	// From 1 up to 0.
	_, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 1, 0, 0)
	lacks(CloseRange, errno != syscall.EINVAL)
	// A struct open_how of no size.
	_, _, errno = syscall.RawSyscall6(unix.SYS_OPENAT2, atFDCWD, 0, 0, 0, 0, 0)
	lacks(Openat2, errno != syscall.EINVAL)
	_, err := unix.PidfdOpen(0, 0)
	lacks(Pidfd, err != syscall.EINVAL)
	lacks(TimeNamespace, unix.Access("/proc/self/ns/time", unix.F_OK) != nil)
	// These two show only by using them, in a process made for it.
	lacks(TimeExec, missing.Has(TimeNamespace) || Release() < version(6, 3))
	lacks(UserOverlay, Release() < version(5, 11))
	return missing
}

// cloneKnows asks for a child with that flag and a pidfd stored where nothing
// can be: EFAULT, late, unless the flag is refused before (EINVAL, or E2BIG
// for a struct that is longer than the kernel's).
func cloneKnows(flag uint64) bool {
	args := cloneArgs{flags: flag | unix.CLONE_VM | unix.CLONE_PIDFD, pidfd: ^uint64(7)}
	_, _, errno := syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	return errno != syscall.EINVAL && errno != syscall.E2BIG
}

func version(major, minor int) int { return major*1000 + minor }

// Release is the kernel's version, 1000 times the major plus the minor number:
// what is left to ask where trying would make something.
func Release() int {
	var uts unix.Utsname
	var major, minor int
	if unix.Uname(&uts) == nil {
		fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
	}
	return version(major, minor)
}
