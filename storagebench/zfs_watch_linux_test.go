package storagebench

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Signals come to who asks in two file systems by turns: zfs-fuse slept for good
// in the one that was not asked, once in some thousand signals.
func TestZFSFuseSignals(t *testing.T) {
	during := 5 * time.Second
	if os.Getenv("PLIMSOLL_MEASURE") != "" {
		during = time.Minute
	}
	p := zfsFusePool(t)
	roots := []string{zfsClone(t, p, "a"), p.root("image")}
	thread, asked := make(chan int), make(chan error)
	signalled := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		for i := 0; ; i++ {
			if err := unix.Statfs(roots[i%2], new(unix.Statfs_t)); err != nil && !errors.Is(err, unix.EINTR) {
				asked <- err
				return
			}
			select {
			case <-signalled:
				asked <- nil
				return
			default:
			}
		}
	}()
	tid := <-thread
	for end := time.Now().Add(during); time.Now().Before(end); {
		select {
		case err := <-asked:
			t.Fatal(err)
		default:
		}
		unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // as the runtime does
		time.Sleep(50 * time.Microsecond)
	}
	close(signalled)
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

// Who waits for a zfs-fuse that does nothing at all waits no longer than the
// patience, though nobody unmounts anything and no trial ends.
func TestZFSFuseStuck(t *testing.T) {
	p := zfsFusePool(t)
	root := zfsClone(t, p, "a")
	stop(t, p)
	const patience = 500 * time.Millisecond
	p.fuse.patience.Store(int64(patience))
	began := time.Now()
	err := unix.Statfs(root, new(unix.Statfs_t))
	if took := time.Since(began); took < patience {
		t.Errorf("killed after %v", took)
	}
	if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
		t.Errorf("statfs: %v", err)
	}
	<-p.fuse.ended
	const want = "it owed an answer and did nothing for 500ms, and was killed"
	for _, next := range []struct {
		name string
		do   func() error
	}{
		{"Clone", func() error { _, err := p.Clone(t.Context(), "b"); return err }},
		{"Diff", func() error { _, err := p.Diff(t.Context(), "a"); return err }},
		{"Usage", func() error { _, err := p.Usage(t.Context()); return err }},
		{"Remove", func() error { return p.Remove(t.Context(), "a") }},
	} {
		if err := next.do(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", next.name, err, want)
		}
	}
}

// One that is slow is not killed: what it was owed for together is longer than
// the patience.
func TestZFSFuseSlow(t *testing.T) {
	p := zfsFusePool(t)
	root := zfsClone(t, p, "a")
	p.fuse.patience.Store(int64(2 * time.Second))
	for range 25 {
		resume := stop(t, p)
		answered := make(chan error)
		go func() { answered <- unix.Statfs(root, new(unix.Statfs_t)) }()
		time.Sleep(100 * time.Millisecond)
		resume()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
	}
}
