package operation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
)

// Import imports an image into a pool that is new.
//
//	import          s  until all is written back
//	disk_per_image  B
func Import(ctx context.Context, t Target, image storagebench.Image) ([]Measurement, error) {
	var took time.Duration
	before, err := t.Pool.Usage(ctx)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	start := time.Now()
	if err := t.Pool.Import(ctx, image); err != nil {
		return nil, fmt.Errorf("import %s: %w", image.Name, err)
	}
	// Some backends write the image to a device before Import returns, others
	// leave it in the page cache.
	after, err := t.Pool.Usage(ctx)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", image.Name, err)
	}
	took = time.Since(start)
	if after.Used <= before.Used {
		return nil, fmt.Errorf("import %s: the pool takes no more space than before", image.Name)
	}
	return []Measurement{seconds("import", took), bytes("disk_per_image", after.Used-before.Used)}, nil
}

// ProvisionOptions: the zero value is one clone.
type ProvisionOptions struct {
	Clones int // made at once
}

// Provision makes clones at once, and removes them at once.
//
//	provision       s     a sample for each clone, from the time at which all were to be made
//	provision_rate  op/s  clones over the time until the last was there
//	disk_per_clone  B     before anything is changed in it
//	delete          s     a sample for each clone, from the time at which all were to be removed
func Provision(ctx context.Context, t Target, o ProvisionOptions) (made []Measurement, err error) {
	n := max(1, o.Clones)
	roots, there := make([]string, n), make([]bool, n)
	defer func() {
		for i := range there {
			if there[i] {
				err = errors.Join(err, t.remove(ctx, cloneID("provision", i)))
			}
		}
	}()
	var clones []time.Duration
	disk, err := t.during(ctx, func() (err error) {
		clones, err = atOnce(n, func(i int) (err error) {
			roots[i], err = t.Pool.Clone(ctx, cloneID("provision", i))
			there[i] = err == nil
			return err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("provision %d clones: %w", n, err)
	}
	if err := apart(roots); err != nil {
		return nil, fmt.Errorf("provision %d clones: %w", n, err)
	}
	deletes, err := atOnce(n, func(i int) error {
		err := t.Pool.Remove(ctx, cloneID("provision", i))
		there[i] = err != nil
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("remove %d clones: %w", n, err)
	}
	last := clones[0]
	for i := range n {
		made = append(made, seconds("provision", clones[i]), seconds("delete", deletes[i]))
		last = max(last, clones[i])
	}
	return append(made, rate("provision_rate", n, last), bytes("disk_per_clone", max(0, disk.used)/int64(n))), nil
}

// atOnce calls do for 0 to n-1 at once, and gives when each returned, from
// the moment at which all were to begin: a stall counts for all who waited
// through it. Its error is one of theirs.
func atOnce(n int, do func(i int) error) ([]time.Duration, error) {
	took, errs := make([]time.Duration, n), make([]error, n)
	begin := make(chan struct{})
	var start time.Time
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-begin
			errs[i] = do(i)
			took[i] = time.Since(start)
		})
	}
	ready.Wait()
	start = time.Now()
	close(begin)
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

// apart asserts that each root holds an image, and that what is written to one
// is not in the next.
func apart(roots []string) error {
	for i, root := range roots {
		entries, err := os.ReadDir(root)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("%s is empty: nothing of the image is in the clone", root)
		}
		marker := fmt.Sprintf(".clone-%d", i)
		if err := os.WriteFile(filepath.Join(root, marker), nil, 0o600); err != nil {
			return err
		}
		if len(roots) == 1 {
			return nil
		}
		other := filepath.Join(roots[(i+1)%len(roots)], marker)
		var st unix.Stat_t
		if err := unix.Lstat(other, &st); !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("%s: a file made in another clone is there, or nobody can tell (%v)", other, err)
		}
	}
	return nil
}
