package operation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plimsoll/storagebench"
	"plimsoll/storagebench/block"
	"plimsoll/storagebench/image"
	"plimsoll/storagebench/tree"
)

// need skips the test where the host lacks a capability, unless
// PLIMSOLL_REQUIRE lists it: then a lack is a failure, so that a suite that is
// meant to prove something cannot go silently empty.
func need(t *testing.T, capability string, has bool) {
	t.Helper()
	if has {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not", capability)
	}
	t.Skipf("needs %s", capability)
}

type plain struct {
	ground *block.Ground
}

func (p *plain) dir(id string) string { return filepath.Join(p.ground.Dir, id) }

func (p *plain) Import(ctx context.Context, image storagebench.Image) error {
	if err := os.Mkdir(p.dir("image"), 0o755); err != nil {
		return err
	}
	for _, l := range image.Layers {
		r, err := l.Open()
		if err != nil {
			return err
		}
		if err := tree.Unpack(ctx, p.dir("image"), r, tree.Apply); err != nil {
			return err
		}
		r.Close()
	}
	return nil
}
func (p *plain) Clone(ctx context.Context, id string) (string, error) {
	return p.dir(id), tree.Copy(ctx, p.dir(id), p.dir("image"), tree.Contents)
}
func (p *plain) Diff(ctx context.Context, id string) ([]storagebench.Change, error) {
	return tree.Compare(ctx, p.dir("image"), p.dir(id))
}
func (p *plain) Remove(ctx context.Context, id string) error { return os.RemoveAll(p.dir(id)) }
func (p *plain) Usage(ctx context.Context) (storagebench.Usage, error) {
	u, err := p.ground.Usage()
	return storagebench.Usage{Used: u.Used, Free: u.Free, Written: u.Written, Read: u.Read}, err
}
func (p *plain) Close() error { return p.ground.Close() }

func open(t *testing.T, size int64) Target {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	g, err := block.NewGround(t.Context(), t.TempDir(), block.Ext4, size, "")
	if err != nil {
		t.Fatal(err)
	}
	p := &plain{g}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return Target{Pool: p, Info: storagebench.Info{Name: "plain", Kind: storagebench.Copy, Copies: storagebench.None}}
}

const large = 8 << 20

func imported(t *testing.T) Target {
	t.Helper()
	target := open(t, 1<<30)
	if err := target.Pool.Import(t.Context(), image.Synthetic(image.Spec{Layers: 3, Files: 200, Size: 4 << 20, Large: []int64{large}})); err != nil {
		t.Fatal(err)
	}
	return target
}

var _ = errors.Is
