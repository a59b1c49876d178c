package storagebench

import (
	"context"
	"fmt"

	"plimsoll/storagebench/tree"
)

// unpack puts the layer into dir: see tree.Unpack.
func (l Layer) unpack(ctx context.Context, dir string, w tree.Whiteouts, below ...string) error {
	r, err := l.Open()
	if err != nil {
		return fmt.Errorf("open layer %s: %w", l.Digest, err)
	}
	defer r.Close()
	if err := tree.Unpack(ctx, dir, r, w, below...); err != nil {
		if l.Digest != "" {
			err = fmt.Errorf("layer %s: %w", l.Digest, err)
		}
		return err
	}
	return nil
}

// Unpack puts all layers into dir, over one another.
func (i Image) Unpack(ctx context.Context, dir string) error {
	for _, l := range i.Layers {
		if err := l.unpack(ctx, dir, tree.Apply); err != nil {
			return fmt.Errorf("image %s: %w", i.Name, err)
		}
	}
	return nil
}
