package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// isZFSFuse tells the tools of zfs-fuse, Debian's package of which replaces
// those of OpenZFS.
func isZFSFuse() bool {
	_, err := block.Find("zfs-fuse")
	return err == nil
}

// zfsDaemon is a zfs-fuse of our own. There can be one on a host: its tools
// know one socket. Pools in it are on no list, and go when it goes, which is
// when we do.
type zfsDaemon struct {
	command *exec.Cmd
	ended   chan struct{}
	log     string
}

// startZFS makes sure that there is a ZFS to talk to. It gives a daemon if it
// had to start one; it is a child of the calling thread.
func startZFS(ctx context.Context, dir string) (*zfsDaemon, error) {
	_, err := zpools(ctx)
	if err == nil {
		return nil, nil
	}
	if !isZFSFuse() {
		block.Command(ctx, "modprobe", "zfs") // zpools says whether that was it
		if _, err := zpools(ctx); err != nil {
			return nil, &Missing{Backend: "zfs", Reason: err.Error(), Fix: "modprobe zfs, after apt-get install zfs-dkms"}
		}
		return nil, nil
	}
	path, err := block.Find("zfs-fuse")
	if err != nil {
		return nil, err
	}
	d := &zfsDaemon{log: filepath.Join(dir, "zfs-fuse.log"), ended: make(chan struct{})}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// In the foreground, with extended attributes, which it has on demand only,
	// and without the statistics that it would mount in the root directory.
	d.command = exec.Command(path, "--no-daemon", "--enable-xattr", "--no-kstat-mount")
	d.command.Stdout, d.command.Stderr = log, log
	d.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := d.command.Start(); err != nil {
		return nil, errors.Join(err, os.Remove(d.log))
	}
	go func() {
		d.command.Wait()
		close(d.ended)
	}()
	if err := d.ready(ctx); err != nil {
		d.stop(ctx, "")
		return nil, err
	}
	return d, nil
}

// lockZFSFuse makes sure that one pool of ours at a time is in zfs-fuse, of
// this and of all other processes. The lock goes with the file, flock(2).
func lockZFSFuse(ctx context.Context) (*os.File, error) {
	const dir = "/run/zfs" // where the socket is
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if err = errors.Join(err, ctx.Err()); ctx.Err() != nil || time.Now().After(end) {
			f.Close()
			return nil, fmt.Errorf("wait for another pool in zfs-fuse: lock %s: %w", dir, err)
		}
	}
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
			said, _ := os.ReadFile(d.log)
			return fmt.Errorf("zfs-fuse ended: %v: %s", d.command.ProcessState, strings.TrimSpace(string(said)))
		case <-timeout:
			return fmt.Errorf("zfs-fuse does not answer after 10 s: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop kills the daemon: there is nothing left that it could write back, and
// asked to end it takes four seconds. One that has pools besides ours it leaves;
// that ends with us.
func (d *zfsDaemon) stop(ctx context.Context, ours string) bool {
	os.Remove(d.log)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // it may wait for a device that is gone
	defer cancel()
	names, err := zpools(ctx)
	if err == nil && slices.ContainsFunc(names, func(name string) bool { return name != ours }) {
		return false
	}
	d.command.Process.Kill()
	<-d.ended
	return true
}
