package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// XFSReflink copies the image's directory for each clone, and lets the files
// share their extents with those of the image (FICLONE, ioctl_ficlone(2)).
type XFSReflink struct{}

func (XFSReflink) Info() Info {
	return Info{
		Name:   "xfs-reflink",
		Kind:   Snapshot,
		Help:   "a clone has inodes of its own for all files, which share extents with the image's on xfs until they are written to",
		Copies: Extent,
		Places: true,
	}
}

// xfsReflinking is the least that mkfs.xfs(8) does since version 5.1 by itself.
var xfsReflinking = block.FileSystem{
	Type:  "xfs",
	Make:  []string{"-q", "-f", "-K", "-m", "reflink=1"},
	Flags: unix.MS_NOATIME,
	Late:  true,
}

// smallestXFS is what mkfs.xfs(8) refuses to go below.
const smallestXFS = 300 << 20

func (b XFSReflink) Probe(ctx context.Context, dir string) error {
	return probe(ctx, b, dir, smallestXFS)
}

// Open with Options.Place takes any file system that can share extents.
func (b XFSReflink) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	g, err := o.ground(ctx, dir, xfsReflinking)
	if err != nil {
		return nil, missing("xfs-reflink", err)
	}
	if err := canReflink(g.Dir); err != nil {
		err = &Missing{
			Backend: "xfs-reflink",
			Reason:  "files in " + g.Dir + " cannot share extents: " + err.Error(),
			Fix:     "a directory on xfs made with -m reflink=1, or on btrfs",
		}
		return nil, errors.Join(err, g.Close())
	}
	return &copies{ground: g, contents: reflink, marks: map[string]tree.Mark{}}, nil
}

// canReflink tries.
func canReflink(dir string) error {
	from, err := os.CreateTemp(dir, "reflink-")
	if err != nil {
		return err
	}
	defer os.Remove(from.Name())
	defer from.Close()
	if _, err := from.Write(make([]byte, 4096)); err != nil {
		return err
	}
	to, err := os.CreateTemp(dir, "reflink-")
	if err != nil {
		return err
	}
	defer os.Remove(to.Name())
	defer to.Close()
	return reflink(to, from, 4096)
}

func reflink(to, from *os.File, _ int64) error {
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		return fmt.Errorf("FICLONE %s: %w", from.Name(), err)
	}
	return nil
}
