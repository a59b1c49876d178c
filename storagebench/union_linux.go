package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/tree"
)

// union is a pool of directories laid over one another. On the ground:
//
//	layer/0, layer/1...          the image's layers, the lowest first
//	base                         the image, to compare with
//	clone/ID/upper, work, root   a clone
type union struct {
	ground    *block.Ground
	whiteouts tree.Whiteouts
	mount     mounter
	marks     bool   // names that begin with .wh. are no files, and hard links stay links
	writeBack bool   // a clone's file system has dirty pages of its own
	clones    string // the directory of clones, elsewhere when they are in memory
	memory    bool

	layers []string // names in layer, the topmost first
	image  string   // base, or the only layer

	mu       sync.Mutex
	unmounts map[string]func() error // by mounted directory
}

// A mounter lays directories over one another, the topmost first. Upper "" is
// none.
type mounter func(ctx context.Context, s stack) (unmount func() error, err error)

type stack struct {
	dir         string   // where the lower directories are
	lower       []string // their names in it
	upper, work string
	target      string
}

func newUnion(g *block.Ground, w tree.Whiteouts, mount mounter) *union {
	return &union{ground: g, whiteouts: w, mount: mount, clones: filepath.Join(g.Dir, "clone"), unmounts: map[string]func() error{}}
}

func (p *union) in(name ...string) string {
	return filepath.Join(p.ground.Dir, filepath.Join(name...))
}

func (p *union) Import(ctx context.Context, image Image) error {
	for _, dir := range []string{p.in("layer"), p.in("base"), p.clones} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var below []string                         // the layers that are there, the topmost first
	for i := range max(1, len(image.Layers)) { // an image may be empty
		name := strconv.Itoa(i)
		dir := p.in("layer", name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return full(err)
		}
		if i < len(image.Layers) {
			if err := image.Layers[i].unpack(ctx, dir, p.whiteouts, below...); err != nil {
				return fmt.Errorf("image %s: %w", image.Name, full(err))
			}
		}
		p.layers, below = slices.Insert(p.layers, 0, name), slices.Insert(below, 0, dir)
	}
	p.image = p.in("layer", p.layers[0])
	if len(p.layers) == 1 {
		return nil
	}
	p.image = p.in("base")
	return p.lay(ctx, stack{dir: p.in("layer"), lower: p.layers, target: p.image})
}

// full says what to do about a pool that is.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: the pool is full (pools.size makes it larger)", err)
	}
	return err
}

func (p *union) lay(ctx context.Context, s stack) error {
	unmount, err := p.mount(ctx, s)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unmounts[s.target] = unmount
	return nil
}

func (p *union) lift(target string) error {
	p.mu.Lock()
	unmount := p.unmounts[target]
	delete(p.unmounts, target)
	p.mu.Unlock()
	if unmount == nil {
		return nil
	}
	return unmount()
}

// clone is the directory of a clone that is there.
func (p *union) clone(id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	dir := filepath.Join(p.clones, id)
	if _, err := os.Lstat(dir); err != nil {
		return "", fmt.Errorf("clone %s: %w", id, err)
	}
	return dir, nil
}

func (p *union) Clone(ctx context.Context, id string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	dir := filepath.Join(p.clones, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("clone %s: %w", id, full(err))
	}
	root := filepath.Join(dir, "root")
	err := p.layClone(ctx, stack{
		dir: p.in("layer"), lower: p.layers,
		upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work"), target: root,
	})
	if err != nil {
		return "", errors.Join(fmt.Errorf("clone %s: %w", id, full(err)), os.RemoveAll(dir))
	}
	return root, nil
}

func (p *union) layClone(ctx context.Context, s stack) error {
	for _, dir := range []string{s.upper, s.work, s.target} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	// The attributes of the root are those of the topmost directory.
	if err := tree.Attributes(s.upper, p.image); err != nil {
		return err
	}
	return p.lay(ctx, s)
}

func (p *union) Diff(ctx context.Context, id string) ([]Change, error) {
	dir, err := p.clone(id)
	if err != nil {
		return nil, err
	}
	paths, err := candidates(filepath.Join(dir, "upper"), p.marks)
	if err != nil {
		return nil, fmt.Errorf("diff %s: %w", id, err)
	}
	if p.marks && slices.ContainsFunc(paths, func(path string) bool { return hardLinked(p.image + path) }) {
		return tree.Compare(ctx, p.image, filepath.Join(dir, "root")) // its other names may be anywhere
	}
	return tree.ComparePaths(ctx, p.image, filepath.Join(dir, "root"), paths)
}

func (p *union) Remove(_ context.Context, id string) error {
	dir, err := p.clone(id)
	if err != nil {
		return err
	}
	err = p.lift(filepath.Join(dir, "root"))
	if p.whiteouts == tree.OverlayUser {
		// The kernel made it without permissions, which only root can do without.
		os.Chmod(filepath.Join(dir, "work", "work"), 0o700)
	}
	return errors.Join(err, removeInUse(dir))
}

func (p *union) Usage(context.Context) (Usage, error) {
	if p.writeBack {
		p.mu.Lock()
		defer p.mu.Unlock()
		for root := range p.unmounts {
			if err := block.Sync(root); err != nil {
				return Usage{}, err
			}
		}
	}
	u, err := usage(p.ground)
	if err != nil || !p.memory {
		return u, err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(p.clones, &st); err != nil {
		return Usage{}, fmt.Errorf("statfs %s: %w", p.clones, err)
	}
	u.Used += int64(st.Blocks-st.Bfree) * st.Bsize
	u.Free = int64(st.Bavail) * st.Bsize // where clones write
	return u, nil
}

func (p *union) Close() error {
	p.mu.Lock()
	var errs []error
	for target, unmount := range p.unmounts {
		errs = append(errs, unmount())
		delete(p.unmounts, target)
	}
	p.mu.Unlock()
	if p.memory {
		errs = append(errs, detach(p.clones), os.RemoveAll(p.clones))
	}
	return errors.Join(append(errs, p.ground.Close())...)
}

// removeInUse removes a directory in which somebody may still make files, who
// opened a directory in it before it was unmounted. He has none to make them
// in once they are gone; on one processor that takes some rounds.
func removeInUse(dir string) (err error) {
	for end := time.Now().Add(10 * time.Second); ; {
		if err = os.RemoveAll(dir); !errors.Is(err, unix.ENOTEMPTY) || time.Now().After(end) {
			return err
		}
	}
}

// detach unmounts a directory at once, in use or not. It is no error where
// nothing is mounted.
func detach(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// escaped is a path as it stands in the options of a union: a colon divides
// directories, a comma options.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}

// lowerdir are the stack's lower directories.
func (s stack) lowerdir(absolute bool) string {
	names := make([]string, len(s.lower))
	for i, name := range s.lower {
		if absolute {
			name = escaped(filepath.Join(s.dir, name))
		}
		names[i] = name
	}
	return strings.Join(names, ":")
}
