package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// overlay is the kernel's union. What its options mean is in
// Documentation/filesystems/overlayfs.rst; a kernel, or a distribution by
// module parameters, has defaults of its own for most, so all are said.
type overlay struct {
	name, help string
	metacopy   bool // chmod and chown copy no content
	volatile   bool // nothing is synced
	memory     bool // upper directories are on a tmpfs
}

var (
	Overlay = overlay{name: "overlay",
		help: "directories of layers below one of the clone's own; a file is copied up whole by its first change"}
	OverlayMetacopy = overlay{name: "overlay-metacopy", metacopy: true,
		help: "overlay that copies no content for chmod and chown, and renames directories"}
	OverlayVolatile = overlay{name: "overlay-volatile", volatile: true,
		help: "overlay that ignores fsync and sync: a crash of the host loses the clone"}
	OverlayTmpfs = overlay{name: "overlay-tmpfs", memory: true,
		help: "overlay whose clones write to memory"}
)

func (b overlay) Info() Info {
	return Info{
		Name: b.name, Kind: Union, Help: b.help, Places: true,
		Copies: File, SharesCache: true, Forgets: b.volatile || b.memory,
	}
}

func (b overlay) Probe(ctx context.Context, dir string) error { return probe(ctx, b, dir, 64<<20) }

func (b overlay) Open(ctx context.Context, dir string, o Options) (_ Pool, err error) {
	g, err := o.ground(ctx, dir, block.Ext4)
	if err != nil {
		return nil, missing(b.name, err)
	}
	w := whiteouts(g.Dir)
	p := newUnion(g, w, func(_ context.Context, s stack) (func() error, error) {
		if err := mountOverlay(s, b.options(w, s.upper != "")); err != nil {
			return nil, err
		}
		return func() error { return detach(s.target) }, nil
	})
	defer func() {
		if err != nil {
			err = errors.Join(missing(b.name, err), p.Close())
		}
	}()
	if b.memory {
		p.clones = filepath.Join(dir, "memory")
		if err := os.Mkdir(p.clones, 0o755); err != nil {
			return nil, err
		}
		// noswap (Linux 6.4) is not said: what a host has as memory is its affair.
		if err := unix.Mount("tmpfs", p.clones, "tmpfs", 0, fmt.Sprintf("size=%d,nr_inodes=0,mode=755", o.size())); err != nil {
			return nil, fmt.Errorf("mount tmpfs on %s: %w", p.clones, err)
		}
		p.memory = true
		if err := keepsAttributes(p.clones); err != nil {
			return nil, err
		}
	}
	return p, b.try(ctx, p)
}

// keepsAttributes finds out whether attributes of users stay with a file that is
// copied up to a tmpfs: where it takes none, overlayfs leaves them out and says
// nothing (ovl_copy_xattr).
func keepsAttributes(tmpfs string) error {
	err := unix.Lsetxattr(tmpfs, "user.plimsoll", nil, 0)
	if err == unix.EOPNOTSUPP {
		return &Missing{
			Backend: OverlayTmpfs.name,
			Reason:  "tmpfs takes no user.* attributes here: a file of the image would lose its own when it is changed",
			Fix:     "Linux 6.6 with CONFIG_TMPFS_XATTR",
		}
	}
	return errors.Join(err, unix.Lremovexattr(tmpfs, "user.plimsoll"))
}

// options are all but the directories.
func (b overlay) options(w tree.Whiteouts, upper bool) string {
	// index=off: with an index, hard links would stay links, but an upper
	// directory could be used by one mount only, and with these lower ones only.
	// xino=off: a file on another file system than the upper directory changes
	// its inode number when it is copied up, as on every kernel and distribution.
	options := "index=off,xino=off"
	// metacopy=on is refused without redirect_dir=on: the upper file that holds
	// no content has to say where it is when it is renamed. Else nofollow: off
	// would still follow what is found.
	if b.metacopy && upper {
		options += ",metacopy=on,redirect_dir=on"
	} else {
		options += ",metacopy=off,redirect_dir=nofollow"
	}
	if b.volatile && upper {
		options += ",volatile"
	}
	if w == tree.OverlayUser {
		options += ",userxattr"
	}
	return options
}

// whiteouts finds out which attributes may be set: trusted.* only by root
// outside of user namespaces (xattr(7)).
func whiteouts(dir string) tree.Whiteouts {
	if unix.Lsetxattr(dir, "trusted.overlay.probe", nil, 0) == unix.EPERM {
		return tree.OverlayUser
	}
	unix.Lremovexattr(dir, "trusted.overlay.probe")
	return tree.Overlay
}

// mountOverlay mounts with mount(2), which every kernel has. Its options must
// fit a page; what Linux has for more, fsconfig(2) with lowerdir+, came with
// 6.8. Where absolute names are too long a page has still room for the 500
// layers that overlayfs takes, named in a thread that is where they are.
func mountOverlay(s stack, options string) error {
	if s.upper != "" {
		options += ",upperdir=" + escaped(s.upper) + ",workdir=" + escaped(s.work)
	}
	data := "lowerdir=" + s.lowerdir(true) + "," + options
	if len(data) < os.Getpagesize() {
		return overlayError(s, unix.Mount("overlay", s.target, "overlay", 0, data))
	}
	data = "lowerdir=" + s.lowerdir(false) + "," + options
	if len(data) >= os.Getpagesize() {
		return fmt.Errorf("mount overlay on %s: the options for %d layers are longer than the page that mount(2) takes", s.target, len(s.lower))
	}
	return overlayError(s, inDirectory(s.dir, func() error {
		return unix.Mount("overlay", s.target, "overlay", 0, data)
	}))
}

func overlayError(s stack, err error) error {
	switch {
	case err == nil:
		return nil
	case err == unix.ENODEV:
		return fmt.Errorf("mount overlay: the kernel has none (modprobe overlay, or CONFIG_OVERLAY_FS): %w", err)
	case (err == unix.EINVAL || err == unix.ENOMEM) && len(s.lower) > 500: // OVL_MAX_STACK; ENOMEM on Linux 5.10
		return fmt.Errorf("mount overlay on %s: %d layers, and overlayfs takes 500: %w", s.target, len(s.lower), err)
	}
	return fmt.Errorf("mount overlay on %s, %d layers: %w (see dmesg)", s.target, len(s.lower), err)
}

// inDirectory calls f in a thread that has dir as its working directory, and
// ends: unshare(2), CLONE_FS. It leaves dir first, as the process's first
// thread does not end with its goroutine but sleeps for ever
// (runtime.LockOSThread), and would keep the file system in use.
func inDirectory(dir string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread goes with the goroutine
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Chdir(dir)
		}
		if err == nil {
			err = f()
			unix.Chdir("/")
		}
		done <- err
	}()
	return <-done
}

// try makes a clone and looks whether the kernel does what its options say:
// where an upper directory's file system lacks something it only writes to its
// log, and mounts without.
func (b overlay) try(ctx context.Context, p *union) error {
	dir := filepath.Join(p.clones, "try")
	s := stack{
		dir: dir, lower: []string{"lower"},
		upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work"), target: filepath.Join(dir, "root"),
	}
	for _, made := range []string{filepath.Join(dir, "lower", "dir"), s.upper, s.work, s.target} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "lower", "file"), []byte("content"), 0o644); err != nil {
		return err
	}
	unmount, err := p.mount(ctx, s)
	if err != nil {
		return b.refused(err)
	}
	return errors.Join(b.inspect(s), unmount())
}

// refused: an option that the kernel does not know is EINVAL.
func (b overlay) refused(err error) error {
	if errors.Is(err, unix.EINVAL) {
		return &Missing{Backend: b.name, Reason: err.Error(), Fix: "Linux 5.10 has volatile, 5.11 userxattr, which excludes metacopy"}
	}
	return err
}

// inspect looks for the traces of each option.
func (b overlay) inspect(s stack) error {
	if err := os.Chmod(filepath.Join(s.target, "file"), 0o600); err != nil {
		return err
	}
	_, err := unix.Lgetxattr(filepath.Join(s.upper, "file"), "trusted.overlay.metacopy", nil)
	metacopy := err == nil
	err = unix.Rename(filepath.Join(s.target, "dir"), filepath.Join(s.target, "moved"))
	if err != nil && err != unix.EXDEV {
		return fmt.Errorf("rename on overlay: %w", err)
	}
	redirect := err == nil
	_, err = os.Lstat(filepath.Join(s.work, "work", "incompat", "volatile"))
	volatile := err == nil
	for _, option := range []struct {
		name         string
		wanted, seen bool
	}{{"metacopy", b.metacopy, metacopy}, {"redirect_dir", b.metacopy, redirect}, {"volatile", b.volatile, volatile}} {
		if option.wanted != option.seen {
			return &Missing{Backend: b.name, Reason: fmt.Sprintf("%s: asked for %v, and the mount has %v", option.name, option.wanted, option.seen),
				Fix: "dmesg says why"}
		}
	}
	return nil
}
