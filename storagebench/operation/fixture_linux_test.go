package operation

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
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

// open opens a pool of a backend, empty, for as long as the test lasts.
func open(t *testing.T, name string, size int64) Target {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	b, ok := storagebench.Find(name)
	if !ok {
		t.Fatalf("there is no backend %s", name)
	}
	pool, err := b.Open(t.Context(), t.TempDir(), storagebench.Options{Size: size})
	var missing *storagebench.Missing
	if errors.As(err, &missing) {
		t.Log(missing)
		need(t, name, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return Target{Pool: pool, Info: b.Info()}
}

// large is the size of a large file of the image.
const large = 8 << 20

// imported opens a pool of a backend that has a small image.
func imported(t *testing.T, name string) Target {
	t.Helper()
	target := open(t, name, 2<<30)
	if err := target.Pool.Import(t.Context(), testImage); err != nil {
		t.Fatal(err)
	}
	return target
}

var testImage = image.Synthetic(image.Spec{Layers: 3, Files: 200, Size: 2 << 20, Large: []int64{large}})

// everyBackend runs a test on each backend.
func everyBackend(t *testing.T, test func(t *testing.T, name string)) {
	for _, b := range storagebench.Backends() {
		t.Run(b.Info().Name, func(t *testing.T) { test(t, b.Info().Name) })
	}
}

// values are measurements by their metric, of which the last counts.
func values(made []Measurement) map[string]float64 {
	v := map[string]float64{}
	for _, m := range made {
		v[m.Metric] = m.Value
	}
	return v
}

// bent is a pool that answers otherwise than it should.
type bent struct {
	storagebench.Pool
	clone func(ctx context.Context, id string) (string, error)
	diff  func(found []storagebench.Change) []storagebench.Change
}

func (b bent) Clone(ctx context.Context, id string) (string, error) {
	if b.clone != nil {
		return b.clone(ctx, id)
	}
	return b.Pool.Clone(ctx, id)
}

func (b bent) Diff(ctx context.Context, id string) ([]storagebench.Change, error) {
	found, err := b.Pool.Diff(ctx, id)
	if b.diff != nil {
		found = b.diff(found)
	}
	return found, err
}
