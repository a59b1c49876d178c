package storagebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// zfsFuse is a pool's own zfs-fuse: when that is killed the pool is gone, and
// no other. It runs, as its tools do, in a namespace of its own.
//
// What it is spared here is known from the sources of zfs-fuse 0.7.0.
type zfsFuse struct {
	namespace *zfsNamespace
	device    *block.Device // of its pool
	daemon    *exec.Cmd
	ended     chan struct{}
	log       *os.File
	patience  atomic.Int64 // a time.Duration: how long it may owe an answer

	watching sync.WaitGroup // zfs_watch_linux.go
	asked    atomic.Int32   // commands and unmounts that wait for it
	near     sync.Mutex     // of who unmounts, or asks something to wake it

	mu     sync.Mutex
	mounts map[string]int // by root, the FUSE connection
	killed error          // why, where it was

	// One thing at a time: two mounts at once mix up what they write to one
	// pipe (fuse_listener.c, zfsfuse_newfs), and nobody answers either; and a
	// file system that goes has its descriptor closed twice (destroy_fs, and
	// fuse_session_destroy before), between which it may be another's.
	one sync.Mutex
}

func startZFSFuse(ctx context.Context, dir string, device *block.Device) (_ *zfsFuse, err error) {
	path, err := block.Find("zfs-fuse")
	if err != nil {
		return nil, err
	}
	z := &zfsFuse{device: device, ended: make(chan struct{})}
	z.patience.Store(int64(answerWait))
	defer func() {
		if err != nil {
			err = errors.Join(err, z.close())
		}
	}()
	if z.namespace, err = newZFSNamespace(dir); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("zfs-fuse.log", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a log for zfs-fuse: memfd_create: %w", err)
	}
	z.log = os.NewFile(uintptr(fd), "zfs-fuse.log")
	// In the foreground, with extended attributes, which it has on demand only,
	// and without the statistics that it would mount in the root directory.
	daemon := exec.Command(path, "--no-daemon", "--enable-xattr", "--no-kstat-mount")
	daemon.Stdout, daemon.Stderr = z.log, z.log
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if z.namespace.do(func() { err = daemon.Start() }); err != nil {
		return nil, err
	}
	z.daemon = daemon
	go func() {
		daemon.Wait()
		close(z.ended)
	}()
	z.watching.Go(z.watch)
	// It aborts when it loses its device (failmode=panic).
	unix.Prlimit(daemon.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	return z, z.ready(ctx)
}

func (z *zfsFuse) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	for {
		_, err := z.command(ctx, "zpool", "list")
		if err == nil || z.hasEnded() || ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// answerWait is far beyond what zfs-fuse needs for an answer.
const answerWait = 10 * time.Second

func (z *zfsFuse) hasEnded() bool {
	select {
	case <-z.ended:
		return true
	default:
		return false
	}
}

// command is block.Command, where zfs and zpool find this zfs-fuse.
func (z *zfsFuse) command(ctx context.Context, tool string, args ...string) (out []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	z.one.Lock()
	defer z.one.Unlock()
	z.asked.Add(1)
	z.namespace.do(func() { out, err = block.Command(ctx, tool, args...) })
	z.asked.Add(-1)
	z.noteMounts()
	return out, z.explain(err)
}

// explain says that zfs-fuse ended, where that is why something failed.
func (z *zfsFuse) explain(err error) error {
	if z == nil || err == nil || !z.hasEnded() {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.killed != nil {
		return fmt.Errorf("zfs-fuse ended, %v: %w: %w", z.daemon.ProcessState, z.killed, err)
	}
	said, _ := io.ReadAll(io.NewSectionReader(z.log, 0, 1<<16))
	return fmt.Errorf("zfs-fuse ended, %v, as it does without its device: %s: %w", z.daemon.ProcessState, strings.TrimSpace(string(said)), err)
}

// noteMounts lists what zfs-fuse has mounted.
func (z *zfsFuse) noteMounts() {
	mounts, _ := mountinfo.GetMounts(mountinfo.PrefixFilter(z.namespace.dir))
	z.mu.Lock()
	defer z.mu.Unlock()
	z.mounts = map[string]int{}
	for _, m := range mounts {
		if m.Mountpoint != z.namespace.dir {
			z.mounts[m.Mountpoint] = m.Minor
		}
	}
}

// unmount gives EBUSY for what is in use. Closing a file does not wait for
// zfs-fuse to hear of it (FUSE_RELEASE), and an unmount aborts what it did not
// hear. Then it waits for ever that the file is closed (zfs_operations.c,
// zfsfuse_destroy), with the lock that it needs to answer anything; and so does
// whoever asks it, deaf to signals.
//
// So a mount goes when it is in use no more (MNT_EXPIRE, umount(2)), and all
// was heard from those who used it until then. MNT_EXPIRE unmounts what nobody
// came near since it was asked before.
func (z *zfsFuse) unmount(root string) error {
	z.one.Lock()
	defer z.one.Unlock()
	defer z.noteMounts()
	root = filepath.Join(z.namespace.dir, filepath.Base(root)) // as mountinfo has it
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(root))
	if err != nil || len(mounts) == 0 {
		return err
	}
	connection := mounts[0].Minor
	sessions := z.sessions()
	err = z.wait("answer what it was asked in "+root, func() (bool, error) {
		if z.namespace.unanswered(connection) > 0 || !z.near.TryLock() {
			return false, nil
		}
		defer z.near.Unlock()
		err := unix.Unmount(root, unix.MNT_EXPIRE)
		if errors.Is(err, unix.EAGAIN) {
			return false, nil
		}
		if err != nil {
			err = fmt.Errorf("unmount %s: %w", root, err)
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	if z.namespace.connected(connection) {
		return nil // another namespace has it mounted still, and keeps it busy
	}
	return z.wait("notice that "+root+" is unmounted", func() (bool, error) {
		return z.sessions() < sessions, nil
	})
}

// wait waits for something that zfs-fuse is to do, and kills it if it does not:
// those who wait for it are deaf to any other way.
func (z *zfsFuse) wait(what string, done func() (bool, error)) error {
	z.asked.Add(1)
	defer z.asked.Add(-1)
	patience := time.Duration(z.patience.Load())
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		if ok, err := done(); ok || err != nil {
			return z.explain(err)
		}
		if z.hasEnded() {
			return z.explain(fmt.Errorf("it was to %s", what))
		}
		if time.Now().After(end) {
			return z.kill(fmt.Errorf("zfs-fuse did not %s in %v, and was killed", what, patience))
		}
	}
}

// doubt kills zfs-fuse if it does not answer for a file system of its own: a
// trial whose time is over may wait for it.
func (z *zfsFuse) doubt(root string) {
	answered := make(chan struct{})
	go func() {
		unix.Statfs(root, new(unix.Statfs_t))
		close(answered)
	}()
	select {
	case <-answered:
	case <-z.ended:
	case <-time.After(time.Duration(z.patience.Load())):
		z.kill(errors.New("it did not answer when a trial was over, and was killed"))
	}
}

// kill gives why, which whoever comes next is told, too.
func (z *zfsFuse) kill(why error) error {
	z.mu.Lock()
	if z.killed == nil && !z.hasEnded() {
		z.killed = why
	}
	z.mu.Unlock()
	z.daemon.Process.Kill()
	return why
}

// sessions counts the file systems that zfs-fuse has mounted.
func (z *zfsFuse) sessions() (n int) {
	fds, _ := filepath.Glob("/proc/" + strconv.Itoa(z.daemon.Process.Pid) + "/fd/*")
	for _, fd := range fds {
		if file, _ := os.Readlink(fd); file == "/dev/fuse" {
			n++
		}
	}
	return n
}

// close kills zfs-fuse: there is nothing that it should write back, and asked
// to end it takes four seconds. Whatever waits for it fails then.
func (z *zfsFuse) close() error {
	if z.daemon != nil {
		z.daemon.Process.Kill()
		<-z.ended
	}
	z.watching.Wait()
	if z.log != nil {
		z.log.Close()
	}
	if z.namespace == nil {
		return nil
	}
	return z.namespace.close()
}
