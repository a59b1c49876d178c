package storagebench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// FuseOverlayfs is the union in user space, which ordinary users have had
// before the kernel's: a process for each clone.
type FuseOverlayfs struct{}

func (FuseOverlayfs) Info() Info {
	return Info{
		Name: "fuse-overlayfs", Kind: Union, Copies: File, Places: true,
		Help: "overlay by a process for each clone (FUSE): what is read is in memory once for each, and once below",
		// copyup of fuse-overlayfs (seen in 1.10) opens what is no directory and
		// no link, and reads it: EIO, and an empty file in its place.
		NoSpecialFiles: true,
		// A directory that is renamed leaves no whiteout (seen in 1.10):
		//	mkdir -p lower/dir upper work merged; touch lower/dir/file
		//	fuse-overlayfs -o lowerdir=lower,upperdir=upper,workdir=work merged
		//	rm merged/dir/file; mkdir merged/dir/file; mv merged/dir/file merged/moved
		//	ls merged/dir      # file
		//	rmdir merged/dir   # Directory not empty
		// And what a layer's opaque directory hides can come back: in a root of
		// l1/r (opaque), l1/r/new, l1/r/d, l0/r/d/old, l0/u, l0/w
		//	touch r/new; rmdir u; mv w v; ls r/d   # old, as a rule
		Resurfaces: true,
		// After link("f", "g") and truncate("f") g shows the former content, in
		// one of two runs of the same calls: change set 810 of the model.
		LinksPart: true,
		NeverCold: "what lies below a FUSE file system stays in memory",
	}
}

func (b FuseOverlayfs) Probe(ctx context.Context, dir string) error {
	return probe(ctx, b, dir, 64<<20)
}

func (b FuseOverlayfs) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	program, err := block.Find("fuse-overlayfs")
	if err != nil {
		return nil, missing("fuse-overlayfs", err)
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return nil, &Missing{Backend: "fuse-overlayfs", Reason: "/dev/fuse: " + err.Error(), Fix: "modprobe fuse, or CONFIG_FUSE_FS"}
	}
	if strings.Contains(dir, ":") {
		return nil, fmt.Errorf("fuse-overlayfs divides directories by colons, and %s has one: choose another --work-dir", dir)
	}
	g, err := o.ground(ctx, dir, block.Ext4)
	if err != nil {
		return nil, missing("fuse-overlayfs", err)
	}
	p := newUnion(g, tree.Overlay, func(ctx context.Context, s stack) (func() error, error) {
		return mountFuseOverlayfs(ctx, program, s)
	})
	p.marks, p.writeBack = true, true
	return p, nil
}

// mountTimeout is how long a process may take to mount: it opens each layer.
const mountTimeout = 10 * time.Second

// mountFuseOverlayfs starts a process in the foreground, which dies with the
// thread that called, and waits until it has mounted.
func mountFuseOverlayfs(ctx context.Context, program string, s stack) (unmount func() error, err error) {
	// Names are relative: what is above may have a comma.
	options := "lowerdir=" + s.lowerdir(false)
	for _, o := range []struct{ name, dir string }{{"upperdir", s.upper}, {"workdir", s.work}} {
		if o.dir == "" {
			continue
		}
		dir, err := filepath.Rel(s.dir, o.dir)
		if err != nil {
			return nil, err
		}
		options += "," + o.name + "=" + dir
	}
	above, err := device(filepath.Dir(s.target))
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	command := exec.Command(program, "-f", "-o", options, s.target)
	command.Dir = s.dir
	command.Stdout, command.Stderr = &said, &said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	unmount = func() error {
		err := detach(s.target)
		command.Process.Kill() // what still uses the mount gets errors
		<-ended
		return err
	}
	for wait, end := 100*time.Microsecond, time.Now().Add(mountTimeout); ; wait = min(2*wait, 5*time.Millisecond) {
		number, err := device(s.target)
		if err == nil && number != above {
			return unmount, nil
		}
		select {
		case err := <-ended:
			return nil, errors.Join(fmt.Errorf("fuse-overlayfs on %s, %d layers: %v: %s", s.target, len(s.lower), err, strings.TrimSpace(said.String())), detach(s.target))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), unmount())
		case <-time.After(wait):
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("fuse-overlayfs has not mounted %s within %v", s.target, mountTimeout), unmount())
		}
	}
}

// device is the number of the file system that a directory is on.
func device(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", dir, err)
	}
	return st.Dev, nil
}
