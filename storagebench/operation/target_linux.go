package operation

import (
	"context"
	"errors"
	"fmt"

	"plimsoll/storagebench"
)

// Target is what is measured. All operations but [Import] and [Quirks] want
// its pool to have imported its image; each removes the clones it makes.
type Target struct {
	Pool storagebench.Pool
	Info storagebench.Info

	// Shared says that others use the pool's device too, as they do with
	// storagebench's Options.Place: its counters show at least what an operation
	// did, and may show more, so that no bound above is asserted.
	Shared bool
}

// withClones makes n clones, calls use with their roots, and removes them.
func (t Target) withClones(ctx context.Context, name string, n int, use func(roots []string) error) (err error) {
	var roots []string
	for i := range n {
		id := cloneID(name, i)
		root, err := t.Pool.Clone(ctx, id)
		if err != nil {
			return fmt.Errorf("clone %s: %w", id, err)
		}
		defer func() { err = errors.Join(err, t.remove(ctx, id)) }()
		roots = append(roots, root)
	}
	return use(roots)
}

func (t Target) withClone(ctx context.Context, name string, use func(root string) error) error {
	return t.withClones(ctx, name, 1, func(roots []string) error { return use(roots[0]) })
}

// remove removes a clone, also when the operation was given up.
func (t Target) remove(ctx context.Context, id string) error {
	if err := t.Pool.Remove(context.WithoutCancel(ctx), id); err != nil {
		return fmt.Errorf("remove clone %s: %w", id, err)
	}
	return nil
}

func cloneID(name string, i int) string { return fmt.Sprintf("%s-%d", name, i) }

// usage is what a pool took between two calls of Usage.
type usage struct {
	used    int64 // bytes allocated, negative when some became free
	written int64 // bytes written to the device, -1 where nobody can tell
	read    int64
}

// during calls do and gives what the pool took meanwhile, until all was
// written back.
func (t Target) during(ctx context.Context, do func() error) (usage, error) {
	before, err := t.Pool.Usage(ctx)
	if err != nil {
		return usage{}, err
	}
	if err := do(); err != nil {
		return usage{}, err
	}
	after, err := t.Pool.Usage(ctx)
	if err != nil {
		return usage{}, err
	}
	u := usage{used: after.Used - before.Used, written: after.Written - before.Written, read: after.Read - before.Read}
	if before.Written < 0 || after.Written < 0 {
		u.written, u.read = -1, -1
	}
	return u, nil
}
