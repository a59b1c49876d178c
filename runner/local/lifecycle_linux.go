package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"plimsoll/isolate/launch"
	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
)

// lifecycle times what is done to containers that run, one after another. Of
// a bare process it times what that one knows: its start and stop.
func (t *trial) lifecycle(ctx context.Context) error {
	changes, err := strconv.Atoi(t.key.Param("changes"))
	if err != nil {
		return fmt.Errorf("parameter changes: %w", err)
	}
	out, err := t.memfd("probe")
	if err != nil {
		return err
	}
	i := runtimes.Instance{Path: probePath, Args: []string{probe.ModeWait}, Hold: true, Lifecycle: true}
	if err := t.make(ctx, i, func() (*os.File, error) { return out, nil }); err != nil {
		return err
	}
	for _, in := range t.instances {
		if err := in.clone.change(changes); err != nil {
			return stage("commit", err)
		}
	}
	release, err := t.startAll(ctx)
	defer release()
	if err != nil {
		return err
	}
	records, err := t.awaitRecords(ctx, out, len(t.instances))
	if err != nil {
		return err
	}
	for _, r := range records {
		n, err := strconv.Atoi(r.ID)
		if err != nil || n < 0 || n >= len(t.instances) {
			return stage("lifecycle", fmt.Errorf("the record of an unknown instance %q", r.ID))
		}
		t.sample(n, "start_to_ready", seconds(r.Time-t.instances[n].c.Timing().Requested))
	}
	for n, in := range t.instances {
		if life := in.c.Lifecycle(); life != nil {
			if err := t.live(ctx, n, life, out); err != nil {
				return err
			}
		}
		if err := t.stop(ctx, n, in); err != nil {
			return err
		}
		if !in.clone.keepsChanges() {
			continue
		}
		begin := launch.Now()
		found, err := in.clone.changes(ctx)
		if err != nil {
			return stage("commit", err)
		}
		t.sample(n, "commit", seconds(launch.Now()-begin))
		if found < changes {
			return stage("commit", fmt.Errorf("%d files were changed, and %d are found", changes, found))
		}
	}
	return nil
}

// live takes an instance through its life. What ends with the first
// instruction of a program ends when the probe says it did.
func (t *trial) live(ctx context.Context, n int, life runtimes.Lifecycle, out *os.File) error {
	for _, step := range []struct {
		metric string
		do     func() error
		probe  bool
	}{
		{"exec", func() error { return life.Exec(ctx, probePath, probe.ModeExit, strconv.Itoa(n)) }, true},
		{"freeze", func() error { return life.Freeze(ctx) }, false},
		{"thaw", func() error { return life.Thaw(ctx) }, false},
		{"restart", func() error { return life.Restart(ctx, stopGrace) }, true},
	} {
		before, err := readRecords(out)
		if err != nil {
			return err
		}
		begin := launch.Now()
		if err := step.do(); err != nil {
			return stage(step.metric, err)
		}
		end := launch.Now()
		if step.probe {
			records, err := t.awaitRecords(ctx, out, len(before)+1)
			if err != nil {
				return err
			}
			end = records[len(before)].Time
		}
		t.sample(n, step.metric, seconds(end-begin))
	}
	return nil
}

// change makes n files different from the image, before the container starts:
// what a commit is to find.
func (c *clone) change(n int) error {
	if !c.keepsChanges() {
		return nil
	}
	dir := filepath.Join(c.root.Path, "data")
	if c.overlay != nil && !c.mounted {
		dir = filepath.Join(c.overlay.Upper, "data")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	for k := range n {
		if err := os.WriteFile(filepath.Join(dir, "change-"+strconv.Itoa(k)), nil, 0o644); err != nil {
			return fmt.Errorf("change the root: %w", err)
		}
	}
	return nil
}

// keepsChanges reports whether what is changed in the root is kept apart from
// the image, so that it can be committed.
func (c *clone) keepsChanges() bool { return c.overlay != nil || c.pool != nil }

// changes counts what the clone has otherwise than the image.
func (c *clone) changes(ctx context.Context) (int, error) {
	if c.pool != nil {
		found, err := c.pool.Diff(ctx, c.id)
		return len(found), err
	}
	found, err := c.overlay.Changes()
	return len(found), err
}
