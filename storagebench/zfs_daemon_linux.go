package storagebench

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// theZFSFuse is the process's share of something that a host has once: the
// tools of zfs-fuse know one socket, /run/zfs/zfs_socket, and so one daemon. A
// pool cannot bring a daemon of its own, nor end it while others are in it, so
// this is the one variable of the package.
var theZFSFuse zfsFuse

// zfsFuse is a zfs-fuse that this process started, or found, and has for
// itself among processes of ours. Pools in it are on no list, and go when it
// goes, which is when we do.
type zfsFuse struct {
	// mounting is held while something is mounted or unmounted. zfs-fuse 0.7.0
	// does one thing at a time: when it mounts several at once it forgets to
	// answer some, and whoever looks at those waits for ever.
	mounting sync.Mutex

	mu     sync.Mutex
	pools  map[string]bool // ours by name: whether open still
	lock   *os.File        // against other processes, while one is open
	daemon *zfsDaemon      // nil where another started it
}

// enter makes sure that there is a daemon that a pool can be in. Where it has
// to start one, that is a child of the calling thread, and ends with that.
func (z *zfsFuse) enter(ctx context.Context, name string) (err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.lock == nil {
		if z.lock, err = lockZFSFuse(ctx); err != nil {
			return err
		}
		z.pools = map[string]bool{}
	}
	z.pools[name] = true
	if z.daemon != nil {
		if !z.daemon.hasEnded() {
			return nil
		}
		z.daemon.kill() // reaps what it left
		z.daemon = nil
	}
	if _, err := zpools(ctx); err == nil {
		return nil
	}
	z.daemon, err = startZFSFuse(ctx)
	return err
}

// leave takes a pool away, in whatever state it is. With the last goes the
// daemon, unless it has pools of others: that ends with us.
func (z *zfsFuse) leave(ctx context.Context, name string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	open := z.pools[name]
	if open {
		z.pools[name] = false
	}
	for _, other := range z.pools {
		if other {
			return z.destroy(ctx, name)
		}
	}
	if !open { // nor was it the last
		return nil
	}
	var err error
	if z.daemon != nil && !z.hasStrangers(ctx) {
		z.daemon.kill()
		z.daemon = nil
	} else {
		err = z.destroy(ctx, name)
	}
	err = errors.Join(err, z.lock.Close())
	z.lock = nil
	return err
}

func (z *zfsFuse) destroy(ctx context.Context, name string) error {
	z.mounting.Lock()
	defer z.mounting.Unlock()
	return destroyZpool(ctx, name)
}

// abandon kills a daemon of ours, in the midst of whatever it does.
func (z *zfsFuse) abandon() {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.daemon != nil {
		z.daemon.command.Process.Kill()
	}
}

// hasStrangers tells whether somebody else made a pool in our daemon. One that
// does not answer, waiting for a device that is gone, does nobody any good.
func (z *zfsFuse) hasStrangers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	names, err := zpools(ctx)
	if err != nil {
		return false
	}
	for _, name := range names {
		if _, ours := z.pools[name]; !ours {
			return true
		}
	}
	return false
}

// lockWait is how long a pool waits for another process's where its context
// has no deadline.
const lockWait = 3 * time.Second

// lockZFSFuse makes sure that no other process of ours has pools in zfs-fuse.
// The lock goes with the file, flock(2).
func lockZFSFuse(ctx context.Context) (*os.File, error) {
	const dir = "/run/zfs" // where the socket is
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lockWait)
		defer cancel()
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
		}
		select {
		case <-ctx.Done():
			defer f.Close()
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, fmt.Errorf("wait for the lock of %s: %w", dir, ctx.Err())
			}
			return nil, &Missing{
				Backend: "zfs",
				Reason:  fmt.Sprintf("there is one zfs-fuse on a host, and %s has pools in it (flock of %s)", lockHolder(f), dir),
				Fix:     "run one after the other",
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lockHolder names the process that has a file locked, as proc_locks(5) does.
func lockHolder(f *os.File) string {
	const unknown = "another process"
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return unknown
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return unknown
	}
	defer locks.Close()
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// "1: FLOCK  ADVISORY  WRITE 4711 fe:00:746454 0 EOF"; of one who waits
		// there is an arrow after the number.
		fields := strings.Fields(lines.Text())
		if len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == file && fields[4] != "0" { // 0: in another pid namespace
			comm, _ := os.ReadFile("/proc/" + fields[4] + "/comm")
			return fmt.Sprintf("process %s (%s)", fields[4], cmp.Or(strings.TrimSpace(string(comm)), "ended"))
		}
	}
	return unknown
}

// zfsDaemon is a zfs-fuse that we started.
type zfsDaemon struct {
	command *exec.Cmd
	ended   chan struct{}
	log     *os.File
}

func startZFSFuse(ctx context.Context) (*zfsDaemon, error) {
	path, err := block.Find("zfs-fuse")
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("zfs-fuse.log", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a log for zfs-fuse: memfd_create: %w", err)
	}
	d := &zfsDaemon{log: os.NewFile(uintptr(fd), "zfs-fuse.log"), ended: make(chan struct{})}
	// In the foreground, with extended attributes, which it has on demand only,
	// and without the statistics that it would mount in the root directory.
	d.command = exec.Command(path, "--no-daemon", "--enable-xattr", "--no-kstat-mount")
	d.command.Stdout, d.command.Stderr = d.log, d.log
	d.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := d.command.Start(); err != nil {
		return nil, errors.Join(err, d.log.Close())
	}
	go func() {
		d.command.Wait()
		close(d.ended)
	}()
	if err := d.ready(ctx); err != nil {
		d.kill()
		return nil, err
	}
	return d, nil
}

func (d *zfsDaemon) ready(ctx context.Context) error {
	timeout := time.After(10 * time.Second)
	for {
		_, err := zpools(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			said, _ := io.ReadAll(io.NewSectionReader(d.log, 0, 1<<16))
			return fmt.Errorf("zfs-fuse ended: %v: %s", d.command.ProcessState, strings.TrimSpace(string(said)))
		case <-timeout:
			return fmt.Errorf("zfs-fuse does not answer after 10 s: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *zfsDaemon) hasEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// kill: there is nothing that the daemon should write back, and asked to end it
// takes four seconds.
func (d *zfsDaemon) kill() {
	d.command.Process.Kill()
	<-d.ended
	d.log.Close()
}
