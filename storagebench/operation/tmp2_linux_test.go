package operation

import (
	"context"
	"os"
	"testing"
	"fmt"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
)

type over struct{ *plain }

func (p *over) Clone(ctx context.Context, id string) (string, error) {
	for _, d := range []string{"", "/upper", "/work", "/merged"} {
		if err := os.Mkdir(p.dir(id)+d, 0o755); err != nil {
			return "", err
		}
	}
	d := p.dir(id)
	return d + "/merged", unix.Mount("overlay", d+"/merged", "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work%s", p.dir("image"), d, d, os.Getenv("OVL")))
}
func (p *over) Remove(ctx context.Context, id string) error {
	if err := unix.Unmount(p.dir(id)+"/merged", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.RemoveAll(p.dir(id))
}

func overlayTarget(t *testing.T, size int64) Target {
	x := open(t, size)
	x.Pool = &over{x.Pool.(*plain)}
	x.Info = storagebench.Info{Name: "overlay", Kind: storagebench.Union, Copies: storagebench.File, SharesCache: true}
	if os.Getenv("OVL") == ",metacopy=on" {
		x.Info.Name = "overlay-metacopy"
	}
	return x
}

func TestOver(t *testing.T) {
	target := overlayTarget(t, 1<<30)
	if err := target.Pool.Import(t.Context(), image.Synthetic(image.Spec{Layers: 3, Files: 200, Size: 4 << 20, Large: []int64{large}})); err != nil {
		t.Fatal(err)
	}
	all(t, target)
}

func TestOverQuirks(t *testing.T) {
	f, err := Try(t.Context(), overlayTarget(t, QuirkPoolSize))
	if err != nil {
		t.Error(err)
	}
	for _, f := range f {
		if f.Found != "" {
			t.Log(f.Name, ":", f.Found)
		}
	}
}
