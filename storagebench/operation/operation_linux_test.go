package operation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/storagebench"
)

type operation struct {
	name    string
	do      func(context.Context, Target) ([]Measurement, error)
	metrics string
}

// The operations, as a profile has them done: what each measures is asserted
// by itself on the way.
var operations = []operation{
	{"provision", func(ctx context.Context, t Target) ([]Measurement, error) {
		return Provision(ctx, t, ProvisionOptions{Clones: 3})
	}, "delete disk_per_clone provision provision_rate"},
	{"small change", func(ctx context.Context, t Target) ([]Measurement, error) {
		return SmallChange(ctx, t, SmallChangeOptions{Files: 30})
	}, "small_change small_change_again small_change_sync write_amplification write_per_change"},
	{"large change", func(ctx context.Context, t Target) ([]Measurement, error) {
		return LargeChange(ctx, t, LargeChangeOptions{Size: large})
	}, "chmod large_change large_change_again large_change_sync write_amplification write_per_change write_per_chmod"},
	{"large change from cold", func(ctx context.Context, t Target) ([]Measurement, error) {
		return LargeChange(ctx, t, LargeChangeOptions{Size: large, Cold: true})
	}, "chmod large_change large_change_again large_change_sync write_amplification write_per_change write_per_chmod"},
	{"churn", func(ctx context.Context, t Target) ([]Measurement, error) {
		return Churn(ctx, t, ChurnOptions{Files: 30})
	}, "create rename rename_directory unlink"},
	{"diff", func(ctx context.Context, t Target) ([]Measurement, error) {
		return Diff(ctx, t, DiffOptions{Changed: 30})
	}, "diff"},
	{"diff of nothing", func(ctx context.Context, t Target) ([]Measurement, error) {
		return Diff(ctx, t, DiffOptions{})
	}, "diff"},
	{"page cache", func(ctx context.Context, t Target) ([]Measurement, error) {
		return PageCache(ctx, t, PageCacheOptions{Size: large, Clones: 3})
	}, "device_read_per_clone mapped_device_read_per_clone mapped_memory_per_clone mapped_page_cache_per_clone memory_per_clone page_cache_per_clone"},
}

func TestOperations(t *testing.T) {
	everyBackend(t, func(t *testing.T, name string) {
		target := open(t, name, 2<<30)
		made, err := Import(t.Context(), target, testImage)
		if err != nil {
			t.Fatal(err)
		}
		if v := values(made); v["disk_per_image"] < large || v["import"] <= 0 {
			t.Errorf("import: %v", made)
		}
		for _, o := range operations {
			made, err := o.do(t.Context(), target)
			if errors.Is(err, ErrNotCold) && target.Info.NeverCold != "" {
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", o.name, err)
				continue
			}
			if diff := cmp.Diff(o.metrics, metricsOf(made)); diff != "" {
				t.Errorf("%s: %s", o.name, diff)
			}
			for _, m := range made {
				t.Logf("%s: %s %.4g %s", o.name, m.Metric, m.Value, m.Unit)
			}
		}
	})
}

func metricsOf(made []Measurement) string {
	var names []string
	for _, m := range made {
		names = append(names, m.Metric)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestWriteAmplification shows what is written for one byte: the whole file
// where the union copies it up, a block or an extent elsewhere.
func TestWriteAmplification(t *testing.T) {
	everyBackend(t, func(t *testing.T, name string) {
		target := imported(t, name)
		made, err := LargeChange(t.Context(), target, LargeChangeOptions{Size: large})
		if err != nil {
			t.Fatal(err)
		}
		written := values(made)["write_amplification"]
		t.Logf("%.0f bytes are written for one of %d", written, large)
		switch {
		case name == "overlay-tmpfs": // the copy is in memory
			if written > large/8 {
				t.Error("to memory, nothing should reach the device")
			}
		case target.Info.Copies == storagebench.File && (written < large || written > 1.2*large):
			t.Error("it should be the file")
		case target.Info.Copies != storagebench.File && (written < 512 || written > large/8):
			t.Error("it should be a block, or an extent")
		}
	})
}

// Each assertion of a mechanism must be able to fail.
func TestLiesAreCaught(t *testing.T) {
	says := func(change func(*storagebench.Info)) func(Target) Target {
		return func(t Target) Target { change(&t.Info); return t }
	}
	copies := func(unit storagebench.Unit) func(Target) Target {
		return says(func(i *storagebench.Info) { i.Copies = unit })
	}
	diff := func(bend func([]storagebench.Change) []storagebench.Change) func(Target) Target {
		return func(t Target) Target { t.Pool = bent{Pool: t.Pool, diff: bend}; return t }
	}
	for _, backend := range []struct {
		name string
		lies []lie
	}{
		{"vfs", []lie{
			{"it copies files up", copies(storagebench.File), "large change", "copies whole files"},
			{"it copies small files up", copies(storagebench.File), "small change", "copies whole files"},
			{"it copies what is renamed", copies(storagebench.File), "churn", "copies whole files"},
			{"clones share the cache", says(func(i *storagebench.Info) { i.SharesCache = true }), "page cache", "clones share"},
			{"all clones are one", func(t Target) Target {
				root, err := t.Pool.Clone(context.Background(), "shared")
				for i := range 3 {
					err = errors.Join(err, os.Mkdir(filepath.Join(filepath.Dir(root), cloneID("provision", i)), 0o755))
				}
				t.Pool = bent{Pool: t.Pool, clone: func(context.Context, string) (string, error) { return root, err }}
				return t
			}, "provision", "made in another clone"},
			{"a change is left out", diff(func(c []storagebench.Change) []storagebench.Change { return c[1:] }), "diff", "is not in it"},
			{"a deletion is a change", diff(func(c []storagebench.Change) []storagebench.Change {
				for i := range c {
					c[i].Kind = "modify"
				}
				return c
			}), "diff", "is listed as modify"},
			{"something has changed", diff(func(c []storagebench.Change) []storagebench.Change {
				return append(c, storagebench.Change{Path: "/zzz", Kind: "add"})
			}), "diff of nothing", "was not changed so"},
		}},
		{"overlay", []lie{
			{"it copies extents", copies(storagebench.Extent), "large change", "says that it copies extent"},
			{"it copies nothing", copies(storagebench.None), "large change", "says that it copies none"},
			{"it copies no file for its mode", says(func(i *storagebench.Info) { i.Name = "overlay-metacopy" }), "large change", "says that it copies extent"},
			{"clones share no cache", says(func(i *storagebench.Info) { i.SharesCache = false }), "page cache", "reads for itself"},
		}},
		{"overlay-metacopy", []lie{
			{"it copies files for their mode", says(func(i *storagebench.Info) { i.Name = "overlay" }), "large change", "copies whole files"},
		}},
	} {
		t.Run(backend.name, func(t *testing.T) {
			target := imported(t, backend.name)
			for _, l := range backend.lies {
				i := slices.IndexFunc(operations, func(o operation) bool { return o.name == l.operation })
				made, err := operations[i].do(t.Context(), l.tell(target))
				if err == nil || !strings.Contains(err.Error(), l.want) {
					t.Errorf("%s: %v, %v", l.says, made, err)
				}
			}
		})
	}
}

type lie struct {
	says      string
	tell      func(Target) Target
	operation string
	want      string // in the error
}

func TestGivenUp(t *testing.T) {
	target := imported(t, "overlay")
	pool := target.Pool
	ctx, cancel := context.WithCancel(t.Context())
	target.Pool = bent{Pool: pool, clone: func(ctx context.Context, id string) (string, error) {
		defer cancel()
		return pool.Clone(ctx, id)
	}}
	if made, err := SmallChange(ctx, target, SmallChangeOptions{Files: 10}); !errors.Is(err, context.Canceled) || made != nil {
		t.Errorf("%v, %v", made, err)
	}
	// Its clone is gone, and the name free.
	target.Pool = pool
	if _, err := SmallChange(t.Context(), target, SmallChangeOptions{Files: 10}); err != nil {
		t.Error(err)
	}
}

func TestWhatTheImageLacks(t *testing.T) {
	target := imported(t, "vfs")
	for want, do := range map[string]func() ([]Measurement, error){
		"the image has no file of 4711 bytes": func() ([]Measurement, error) {
			return LargeChange(t.Context(), target, LargeChangeOptions{Size: 4711})
		},
		"100000 small files are wanted": func() ([]Measurement, error) {
			return SmallChange(t.Context(), target, SmallChangeOptions{Files: 100000})
		},
		"1 clones are too few": func() ([]Measurement, error) {
			return PageCache(t.Context(), target, PageCacheOptions{Size: large, Clones: 1})
		},
	} {
		if made, err := do(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, made, err)
		}
	}
}
