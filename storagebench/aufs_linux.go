package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// AUFS is the union that container engines began with. It was never merged
// into Linux; few distributions' kernels have had it, and none that this was
// tried on: it is written after aufs(5), and only what is pure is tested.
type AUFS struct{}

func (AUFS) Info() Info {
	return Info{
		Name: "aufs", Kind: Union, Copies: File, SharesCache: true, Places: true,
		Help: "directories of layers below one of the clone's own, by a patch to Linux; a file is copied up whole by its first change",
	}
}

func (b AUFS) Probe(ctx context.Context, dir string) error { return probe(ctx, b, dir, 64<<20) }

func (AUFS) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	g, err := o.ground(ctx, dir, block.Ext4)
	if err != nil {
		return nil, missing("aufs", err)
	}
	p := newUnion(g, tree.AUFS, mountAUFS)
	p.marks = true
	unmount, err := mountAUFS(ctx, stack{dir: g.Dir, lower: []string{"."}, target: g.Dir})
	if err != nil {
		m := &Missing{Backend: "aufs", Reason: err.Error(), Fix: "a kernel with the patches of aufs; overlay is in Linux"}
		return nil, errors.Join(m, p.Close())
	}
	return p, unmount()
}

func mountAUFS(_ context.Context, s stack) (func() error, error) {
	unmount := func() error { return detach(s.target) }
	flags := uintptr(0)
	for _, options := range aufsOptions(s, os.Getpagesize()) {
		if err := unix.Mount("aufs", s.target, "aufs", flags, options); err != nil {
			return nil, errors.Join(fmt.Errorf("mount aufs on %s, %d layers: %w (see dmesg)", s.target, len(s.lower), err), unmount())
		}
		flags = unix.MS_REMOUNT
	}
	return unmount, nil
}

// aufsOptions are those of the mount, and of remounts that append the layers
// that have no room in the page that mount(2) takes. ro+wh says that a layer
// has whiteouts.
func aufsOptions(s stack, page int) []string {
	var branches []string
	if s.upper != "" {
		branches = append(branches, escaped(s.upper)+"=rw")
	}
	for _, name := range s.lower {
		branches = append(branches, escaped(filepath.Join(s.dir, name))+"=ro+wh")
	}
	first, rest := "br:"+branches[0], branches[1:]
	for len(rest) > 0 && len(first)+1+len(rest[0]) < page {
		first, rest = first+":"+rest[0], rest[1:]
	}
	options := []string{first}
	for _, b := range rest {
		options = append(options, "append:"+b)
	}
	return options
}
