package launch

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

var callNames = map[uintptr]string{
	unix.SYS_CAPSET:         "capset",
	unix.SYS_CHDIR:          "chdir",
	unix.SYS_CLONE:          "clone",
	unix.SYS_CLONE3:         "clone3",
	unix.SYS_CLOSE:          "close",
	unix.SYS_CLOSE_RANGE:    "close_range",
	unix.SYS_DUP3:           "dup3",
	unix.SYS_EXECVE:         "execve",
	unix.SYS_FCHDIR:         "fchdir",
	unix.SYS_FCNTL:          "fcntl",
	unix.SYS_FUTEX:          "futex",
	unix.SYS_IOCTL:          "ioctl",
	unix.SYS_MKDIRAT:        "mkdirat",
	unix.SYS_MKNODAT:        "mknodat",
	unix.SYS_MOUNT:          "mount",
	unix.SYS_OPENAT:         "openat",
	unix.SYS_OPENAT2:        "openat2",
	unix.SYS_PIVOT_ROOT:     "pivot_root",
	unix.SYS_PRCTL:          "prctl",
	unix.SYS_READ:           "read",
	unix.SYS_RECVFROM:       "recvfrom",
	unix.SYS_RT_SIGPROCMASK: "rt_sigprocmask",
	unix.SYS_SENDTO:         "sendto",
	unix.SYS_SECCOMP:        "seccomp",
	unix.SYS_SETGID:         "setgid",
	unix.SYS_SETGROUPS:      "setgroups",
	unix.SYS_SETHOSTNAME:    "sethostname",
	unix.SYS_SETPGID:        "setpgid",
	unix.SYS_SETRESGID:      "setresgid",
	unix.SYS_SETNS:          "setns",
	unix.SYS_SETRESUID:      "setresuid",
	unix.SYS_SETSID:         "setsid",
	unix.SYS_SOCKET:         "socket",
	unix.SYS_SYMLINKAT:      "symlinkat",
	unix.SYS_UMASK:          "umask",
	unix.SYS_UMOUNT2:        "umount2",
	unix.SYS_UNSHARE:        "unshare",
	unix.SYS_WRITE:          "write",
}

// What no single system call does, and run does itself. The numbers are no
// system call's.
const (
	callCloseFrom = ^uintptr(0) - iota // close all descriptors from the first argument on, which the second lists
	callFork                           // go on in a child, and end with its execve
)

func callName(nr uintptr) string {
	switch nr {
	case callCloseFrom:
		return "closefrom"
	case callFork:
		return "fork"
	}
	if name, ok := callNames[nr]; ok {
		return name
	}
	return "syscall_" + strconv.Itoa(int(nr))
}

func errnoName(e syscall.Errno) string {
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return e.Error()
}

var flagTables = map[FlagTable][]flag{
	CloneFlags: {
		{"CLONE_NEWUSER", unix.CLONE_NEWUSER}, {"CLONE_NEWPID", unix.CLONE_NEWPID},
		{"CLONE_NEWNS", unix.CLONE_NEWNS}, {"CLONE_NEWUTS", unix.CLONE_NEWUTS},
		{"CLONE_NEWIPC", unix.CLONE_NEWIPC}, {"CLONE_NEWNET", unix.CLONE_NEWNET},
		{"CLONE_NEWCGROUP", unix.CLONE_NEWCGROUP}, {"CLONE_NEWTIME", unix.CLONE_NEWTIME},
	},
	MountFlags: {
		{"MS_REC", unix.MS_REC}, {"MS_BIND", unix.MS_BIND}, {"MS_REMOUNT", unix.MS_REMOUNT},
		{"MS_RDONLY", unix.MS_RDONLY}, {"MS_NOSUID", unix.MS_NOSUID}, {"MS_NODEV", unix.MS_NODEV},
		{"MS_NOEXEC", unix.MS_NOEXEC}, {"MS_PRIVATE", unix.MS_PRIVATE}, {"MS_SLAVE", unix.MS_SLAVE},
		{"MS_STRICTATIME", unix.MS_STRICTATIME}, {"MS_RELATIME", unix.MS_RELATIME}, {"MS_NOATIME", unix.MS_NOATIME},
	},
	UmountFlags: {{"MNT_DETACH", unix.MNT_DETACH}},
	OpenFlags: {
		{"O_WRONLY", unix.O_WRONLY}, {"O_RDWR", unix.O_RDWR}, {"O_PATH", unix.O_PATH}, {"O_CLOEXEC", unix.O_CLOEXEC},
	},
	AtDirs:       {{"AT_FDCWD", atFDCWD}},
	SeccompFlags: {{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW}},
	FutexOps:     {{"FUTEX_WAIT", futexWait}, {"FUTEX_WAKE", futexWake}},
	PrctlOptions: {
		{"PR_SET_PDEATHSIG", unix.PR_SET_PDEATHSIG}, {"PR_CAPBSET_DROP", unix.PR_CAPBSET_DROP},
		{"PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE}, {"PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS}, {"PR_CAP_AMBIENT", unix.PR_CAP_AMBIENT},
	},
	CapNames: {
		{"CAP_CHOWN", unix.CAP_CHOWN}, {"CAP_DAC_OVERRIDE", unix.CAP_DAC_OVERRIDE}, {"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH},
		{"CAP_FOWNER", unix.CAP_FOWNER}, {"CAP_FSETID", unix.CAP_FSETID}, {"CAP_KILL", unix.CAP_KILL},
		{"CAP_SETGID", unix.CAP_SETGID}, {"CAP_SETUID", unix.CAP_SETUID}, {"CAP_SETPCAP", unix.CAP_SETPCAP},
		{"CAP_LINUX_IMMUTABLE", unix.CAP_LINUX_IMMUTABLE}, {"CAP_NET_BIND_SERVICE", unix.CAP_NET_BIND_SERVICE}, {"CAP_NET_BROADCAST", unix.CAP_NET_BROADCAST},
		{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_NET_RAW", unix.CAP_NET_RAW}, {"CAP_IPC_LOCK", unix.CAP_IPC_LOCK},
		{"CAP_IPC_OWNER", unix.CAP_IPC_OWNER}, {"CAP_SYS_MODULE", unix.CAP_SYS_MODULE}, {"CAP_SYS_RAWIO", unix.CAP_SYS_RAWIO},
		{"CAP_SYS_CHROOT", unix.CAP_SYS_CHROOT}, {"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}, {"CAP_SYS_PACCT", unix.CAP_SYS_PACCT},
		{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}, {"CAP_SYS_BOOT", unix.CAP_SYS_BOOT}, {"CAP_SYS_NICE", unix.CAP_SYS_NICE},
		{"CAP_SYS_RESOURCE", unix.CAP_SYS_RESOURCE}, {"CAP_SYS_TIME", unix.CAP_SYS_TIME}, {"CAP_SYS_TTY_CONFIG", unix.CAP_SYS_TTY_CONFIG},
		{"CAP_MKNOD", unix.CAP_MKNOD}, {"CAP_LEASE", unix.CAP_LEASE}, {"CAP_AUDIT_WRITE", unix.CAP_AUDIT_WRITE},
		{"CAP_AUDIT_CONTROL", unix.CAP_AUDIT_CONTROL}, {"CAP_SETFCAP", unix.CAP_SETFCAP}, {"CAP_MAC_OVERRIDE", unix.CAP_MAC_OVERRIDE},
		{"CAP_MAC_ADMIN", unix.CAP_MAC_ADMIN}, {"CAP_SYSLOG", unix.CAP_SYSLOG}, {"CAP_WAKE_ALARM", unix.CAP_WAKE_ALARM},
		{"CAP_BLOCK_SUSPEND", unix.CAP_BLOCK_SUSPEND}, {"CAP_AUDIT_READ", unix.CAP_AUDIT_READ}, {"CAP_PERFMON", unix.CAP_PERFMON},
		{"CAP_BPF", unix.CAP_BPF}, {"CAP_CHECKPOINT_RESTORE", unix.CAP_CHECKPOINT_RESTORE},
	},
}

const atFDCWD = 1<<64 + unix.AT_FDCWD // as an argument of 64 bits
