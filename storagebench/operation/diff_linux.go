package operation

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"plimsoll/storagebench"
	"plimsoll/storagebench/tree"
)

// DiffOptions say what is changed before.
type DiffOptions struct {
	Changed int // files: a third each changed in content, added and deleted
}

// Diff changes files of a new clone and has the pool list them. The first list
// must be the true one; making another is timed.
//
//	diff  s
func Diff(ctx context.Context, t Target, o DiffOptions) (made []Measurement, err error) {
	err = t.withClone(ctx, "diff", func(root string) error {
		truth, err := alter(ctx, root, o.Changed)
		if err != nil {
			return err
		}
		id := cloneID("diff", 0)
		found, err := t.Pool.Diff(ctx, id)
		if err != nil {
			return err
		}
		if err := equal(found, truth); err != nil {
			return fmt.Errorf("the list of changes is wrong: %w", err)
		}
		start := time.Now()
		found, err = t.Pool.Diff(ctx, id)
		took := time.Since(start)
		if err != nil {
			return err
		}
		if len(found) != len(truth) {
			return fmt.Errorf("%d changes were listed at first, and then %d", len(truth), len(found))
		}
		made = []Measurement{seconds("diff", took)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	return made, nil
}

// alter makes n changes in a clone, all over it, and lists them.
func alter(ctx context.Context, root string, n int) ([]tree.Change, error) {
	if n == 0 {
		return nil, nil
	}
	files, err := smallFiles(ctx, root, n)
	if err != nil {
		return nil, err
	}
	var changes []tree.Change
	for i, f := range files {
		change := tree.Change{Path: strings.TrimPrefix(f.path, root)}
		switch i % 3 {
		case 0: // size and, within their grain, times stay
			change.Kind = tree.Modified
			err = flip(f)
		case 1:
			change.Kind = tree.Added
			change.Path += ".added"
			err = os.WriteFile(f.path+".added", []byte("added\n"), 0o644)
		case 2:
			change.Kind = tree.Deleted
			err = os.Remove(f.path)
		}
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	slices.SortFunc(changes, func(a, b tree.Change) int { return strings.Compare(a.Path, b.Path) })
	return changes, nil
}

// flip changes the byte in the middle of a file, whatever it was.
func flip(f file) error {
	fd, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer fd.Close()
	var b [1]byte
	if _, err := fd.ReadAt(b[:], f.size/2); err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	b[0] ^= 0xff
	if _, err := fd.WriteAt(b[:], f.size/2); err != nil {
		return err
	}
	return fd.Close()
}

// equal tells the first difference between what was found and what is true.
func equal(found, truth []storagebench.Change) error {
	for i := range max(len(found), len(truth)) {
		switch {
		case i >= len(found) || i < len(truth) && truth[i].Path < found[i].Path:
			return fmt.Errorf("%s (%s) is not in it", truth[i].Path, truth[i].Kind)
		case i >= len(truth) || found[i].Path < truth[i].Path:
			return fmt.Errorf("%s (%s) was not changed so", found[i].Path, found[i].Kind)
		case found[i] != truth[i]:
			return fmt.Errorf("%s is listed as %s, and was %s", found[i].Path, found[i].Kind, truth[i].Kind)
		}
	}
	return nil
}
