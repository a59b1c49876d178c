package storagebench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// zfsRescue is for a pool of OpenZFS whose device fails. Such a pool is
// suspended: what was to be written waits for the device, in a sleep that no
// signal ends, and so does who wants to unmount, or to destroy the pool
// (zpoolprops(7), failmode). So a loop device is brought back, with nothing but
// the pool's label, which is what lets zpool-clear(8) go on; what waits goes to
// nowhere, and the pool knows that it is lost.
type zfsRescue struct {
	pool   string
	device *block.Device
	size   int64
	label  []byte
	events *exec.Cmd

	ended chan struct{} // nobody watches any more

	mu    sync.Mutex
	lost  error         // why the pool is of no use
	tries int           // how often it was suspended
	gone  chan struct{} // closed when the device does not come back
}

// rescues is how often a device is brought back: what ZFS has to read of it to
// write on may be lost.
const rescues = 10

// zfsLabel is what there is of a label at the beginning of a device, in bytes: the first of
// four (vdev_impl.h, VDEV_LABEL_START).
const zfsLabel = 256 << 10

// rescueZFS watches over a pool that was just made.
func rescueZFS(pool string, device *block.Device) (*zfsRescue, error) {
	r := &zfsRescue{pool: pool, device: device, label: make([]byte, zfsLabel), ended: make(chan struct{}), gone: make(chan struct{})}
	if device.File != "" {
		f, err := os.Open(device.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		r.size = info.Size()
		if _, err := f.ReadAt(r.label, 0); err != nil {
			return nil, fmt.Errorf("label of pool %s: %w", pool, err)
		}
	}
	zpool, err := block.Find("zpool")
	if err != nil {
		return nil, err
	}
	r.events = exec.Command(zpool, "events", "-f", "-H", pool)
	r.events.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := r.events.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.events.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(r.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if strings.HasSuffix(strings.TrimSpace(lines.Text()), ".fs.zfs.io_failure") { // zfs-events(5)
				r.rescue()
			}
		}
		r.events.Wait()
	}()
	return r, nil
}

// rescue is called each time that the pool is suspended.
func (r *zfsRescue) rescue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.tries > rescues {
		return
	}
	lost := fmt.Errorf("pool %s: ZFS could not write to %s, and suspended it: %w", r.pool, r.device.Path, unix.EIO)
	r.lost = lost
	err := r.revive()
	if err == nil && r.tries == rescues {
		err = fmt.Errorf("it was suspended %d times", rescues)
	}
	if err != nil {
		r.tries = rescues
		r.lost = fmt.Errorf("%w; to be rid of it, bring the device back, zpool clear %s, and zpool destroy %[2]s, or restart the host: %w", lost, r.pool, err)
		close(r.gone)
	}
}

func (r *zfsRescue) revive() error {
	if r.device.File != "" {
		if err := r.device.Grow(r.size); err != nil {
			return err
		}
		if err := r.writeLabel(); err != nil {
			return err
		}
	}
	_, err := block.Command(context.Background(), "zpool", "clear", r.pool)
	return err
}

func (r *zfsRescue) writeLabel() error {
	f, err := os.OpenFile(r.device.File, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(r.label, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// err says why the pool is of no use, where it is.
func (r *zfsRescue) err() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// command is block.Command; it does not wait for a device that is gone.
func (r *zfsRescue) command(ctx context.Context, tool string, args ...string) ([]byte, error) {
	var out []byte
	err := r.unlessGone(func() (err error) {
		out, err = block.Command(ctx, tool, args...)
		return err
	})
	if errors.Is(err, errZFSGone) { // out may be written to yet
		return nil, err
	}
	return out, err
}

// errZFSGone is in the error of what did not wait.
var errZFSGone = errors.New("the device of the pool is gone")

// unlessGone does something that waits for the device, unless that does not
// come back.
func (r *zfsRescue) unlessGone(do func() error) error {
	if r == nil {
		return do()
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-r.gone:
		return fmt.Errorf("%w: %w", errZFSGone, r.err())
	}
}

// end is for a pool that is gone, or cannot be helped.
func (r *zfsRescue) end() {
	if r == nil {
		return
	}
	r.events.Process.Kill()
	<-r.ended
}

// wakeZpool makes sure that a pool is not suspended: zpool-destroy(8) would wait
// for its device.
func wakeZpool(ctx context.Context, name string) error {
	status, err := block.Command(ctx, "zpool", "status", name)
	if err != nil {
		return err
	}
	for _, suspended := range []string{"ZFS-8000-HC", "ZFS-8000-JQ"} { // failmode=wait, continue
		if strings.Contains(string(status), suspended) {
			if _, err := block.Command(ctx, "zpool", "clear", name); err != nil {
				return fmt.Errorf("%w (its device is gone: bring that back, or restart the host)", err)
			}
		}
	}
	return nil
}
