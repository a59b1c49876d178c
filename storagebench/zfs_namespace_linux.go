package storagebench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// zfsNamespace is a mount namespace for a zfs-fuse and its tools, which know
// one socket, one lock and one list of pools, by name: here they are not the
// host's. What is mounted below one directory is so in both namespaces
// (mount_namespaces(7), MS_SHARED).
type zfsNamespace struct {
	dir         string
	tree        int         // a descriptor of what is mounted at dir
	connections *os.File    // of FUSE
	calls       chan func() // to the thread that is in the namespace
}

func newZFSNamespace(dir string) (_ *zfsNamespace, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	n := &zfsNamespace{dir: dir, calls: make(chan func())}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	entered := make(chan error)
	go n.thread(n.calls, entered)
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("make a mount namespace for zfs-fuse: %w", err)
	}
	defer unix.Close(n.tree)
	if err := unix.MoveMount(n.tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, fmt.Errorf("move_mount to %s: %w", dir, err)
	}
	return n, nil
}

// thread does what it is called for. It is never unlocked, and so ends with the
// goroutine, and the namespace with it.
func (n *zfsNamespace) thread(calls <-chan func(), entered chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread does not end, and its mounts are taken for those of
		// the process (/proc/self). It is kept until another was found.
		other := make(chan error)
		go n.thread(calls, other)
		err := <-other
		runtime.UnlockOSThread()
		entered <- err
		return
	}
	err := n.enter()
	entered <- err
	if err != nil {
		return
	}
	for call := range calls {
		call()
	}
}

// do calls f in the namespace.
func (n *zfsNamespace) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// needed are the mounts, where there are such, that zfs-fuse and its tools need
// of the host's, beside those that the directory is in. A copy of any other
// would keep a file system in use that somebody unmounts meanwhile.
var needed = []string{"/", "/usr", "/etc", "/var", "/var/lib", "/run", "/run/lock", "/dev", "/proc"}

// own are the directories that are not the host's: of the socket, the lock and
// the list of pools to import (zfs.h, ZFS_SOCK_DIR and ZPOOL_CACHE_DIR; util.c,
// LOCKDIR).
var own = []string{"/var/run/zfs", "/var/lock/zfs", "/var/lib/zfs"}

func (n *zfsNamespace) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if !slices.Contains(needed, m.Mountpoint) && !strings.HasPrefix(n.dir, m.Mountpoint+"/") {
			unix.Unmount(m.Mountpoint, unix.MNT_DETACH) // gone with one above it
		}
	}
	for _, dir := range append([]string{n.dir}, own...) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("plimsoll", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount a tmpfs on %s: %w", dir, err)
		}
	}
	if err := unix.Mount("", n.dir, "", unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share %s: %w", n.dir, err)
	}
	if n.connections, err = fuseConnections(); err != nil {
		return err
	}
	if err := withoutSync(); err != nil {
		return err
	}
	if n.tree, err = unix.OpenTree(unix.AT_FDCWD, n.dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
		return fmt.Errorf("open_tree %s: %w", n.dir, err)
	}
	return nil
}

// fuseConnections gives a fusectl that is mounted nowhere (fuse.rst).
func fuseConnections() (*os.File, error) {
	if f, err := os.Open("/dev/fuse"); err != nil { // loads the module
		return nil, err
	} else {
		f.Close()
	}
	fs, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen fusectl: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("fsconfig fusectl: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("fsmount fusectl: %w", err)
	}
	return os.NewFile(uintptr(fd), "fusectl"), nil
}

func (n *zfsNamespace) connection(minor int) string {
	return fmt.Sprintf("/proc/self/fd/%d/%d", n.connections.Fd(), minor)
}

// connected tells whether the file system is mounted anywhere.
func (n *zfsNamespace) connected(minor int) bool {
	_, err := os.Stat(n.connection(minor))
	return err == nil
}

// unanswered is how many requests to a FUSE file system wait for an answer:
// fuse.rst. A connection that is gone waits for none.
func (n *zfsNamespace) unanswered(minor int) int {
	text, _ := os.ReadFile(n.connection(minor) + "/waiting")
	waiting, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return waiting
}

// withoutSync makes sync(2) do nothing for this thread and its children. zfs
// calls it before it mounts or destroys anything, and zfs-fuse in the middle of
// an unmount, when it answers nobody: all would wait for whatever else is
// written on the host.
func withoutSync() error {
	const returnNothing = unix.SECCOMP_RET_ERRNO // an errno of 0
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: returnNothing},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("spare others zfs-fuse's sync: seccomp: %w", err)
	}
	return nil
}

// close ends the namespace, and unmounts in the host's what is mounted in both.
// What is in use there goes when it is not any more.
func (n *zfsNamespace) close() error {
	if n.calls == nil {
		return nil
	}
	close(n.calls)
	n.calls = nil
	if n.connections != nil {
		n.connections.Close()
	}
	if err := unix.Unmount(n.dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", n.dir, err)
	}
	return os.Remove(n.dir)
}
