package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// VFS copies the image's directory for each clone, with read(2) and write(2),
// holes left out. No call is used that could share extents, copy on the device
// or in the kernel (copy_file_range, FICLONE): it is what all others save.
type VFS struct{}

func (VFS) Info() Info {
	return Info{
		Name: "vfs", Kind: Copy, Copies: None, Places: true,
		Help: "a copy of all files for each clone; nothing is shared",
	}
}

func (b VFS) Probe(ctx context.Context, dir string) error { return probe(ctx, b, dir, 64<<20) }

func (VFS) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	g, err := o.ground(ctx, dir, block.Ext4)
	if err != nil {
		return nil, missing("vfs", err)
	}
	return &copies{ground: g, contents: tree.Contents, marks: map[string]tree.Mark{}}, nil
}

// copies has a directory for each clone, into which contents puts what the
// image's files hold.
type copies struct {
	ground   *block.Ground
	contents func(to, from *os.File, size int64) error

	mu    sync.Mutex
	marks map[string]tree.Mark // when a clone was complete
}

func (p *copies) image() string          { return filepath.Join(p.ground.Dir, "image") }
func (p *copies) clone(id string) string { return filepath.Join(p.ground.Dir, "clone", id) }

func (p *copies) Import(ctx context.Context, image Image) error {
	for _, dir := range []string{p.image(), p.clone("")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return full(image.Unpack(ctx, p.image()))
}

func (p *copies) Clone(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	root := p.clone(id)
	if err := os.Mkdir(root, 0o700); err != nil {
		return "", fmt.Errorf("clone %s: %w", id, full(err))
	}
	err := tree.Copy(ctx, root, p.image(), p.contents)
	var mark tree.Mark
	if err == nil {
		mark, err = tree.Now()
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("clone %s: %w", id, full(err)), os.RemoveAll(root))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.marks[id] = mark
	return root, nil
}

func (p *copies) Diff(ctx context.Context, id string) ([]Change, error) {
	p.mu.Lock()
	mark, there := p.marks[id]
	p.mu.Unlock()
	if !there {
		return nil, fmt.Errorf("clone %q is not there", id)
	}
	return tree.CompareSince(ctx, p.image(), p.clone(id), mark)
}

func (p *copies) Remove(_ context.Context, id string) error {
	p.mu.Lock()
	_, there := p.marks[id]
	delete(p.marks, id)
	p.mu.Unlock()
	if !there {
		return fmt.Errorf("clone %q is not there", id)
	}
	return removeInUse(p.clone(id))
}

func (p *copies) Usage(context.Context) (Usage, error) { return usage(p.ground) }

func (p *copies) Close() error { return p.ground.Close() }
