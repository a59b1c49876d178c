package backendtest

import (
	"errors"
	"testing"

	"plimsoll/storagebench"
)

// poolSize is enough for every test but that of a full pool, and more than the
// least that any file system can be made in (mkfs.xfs: 300 MiB).
const poolSize = 1 << 30

// Run is the whole suite: what a Backend and its Pools promise, Model and
// Faults.
func Run(t *testing.T, b storagebench.Backend) {
	needBackend(t, b)
	for _, test := range []struct {
		name string
		run  func(*testing.T, storagebench.Backend)
	}{
		{"info", testInfo},
		{"closes in any state", testClose},
		{"clones are the image, and apart", testClones},
		{"ids", testIDs},
		{"layers", testLayers},
		{"changes", testChanges},
		{"in use", testInUse},
		{"at once", testAtOnce},
		{"usage", testUsage},
		{"cancelled", testCancelled},
		{"broken image", testBrokenImage},
		{"model", Model},
		{"faults", Faults},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
}

func testInfo(t *testing.T, b storagebench.Backend) {
	info := b.Info()
	switch info.Kind {
	case storagebench.Union, storagebench.Snapshot, storagebench.Block, storagebench.Copy:
	default:
		t.Errorf("kind %q", info.Kind)
	}
	switch info.Copies {
	case storagebench.File, storagebench.Extent, storagebench.None:
	default:
		t.Errorf("copies %q", info.Copies)
	}
	if (info.Kind == storagebench.Copy) != (info.Copies == storagebench.None) {
		t.Errorf("a backend of kind %q that copies %q before a change", info.Kind, info.Copies)
	}
	if info.Name == "" || info.Help == "" {
		t.Errorf("name %q, help %q", info.Name, info.Help)
	}
}

func testClose(t *testing.T, b storagebench.Backend) {
	states := []struct {
		name  string
		reach func(*pool)
	}{
		{"opened", func(*pool) {}},
		{"imported", func(p *pool) { p.with(fixture()) }},
		{"cloned", func(p *pool) { p.with(fixture()); p.clone("a"); p.clone("b"); p.remove("a") }},
	}
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			p := open(t, b, storagebench.Options{Size: poolSize})
			state.reach(p)
			if err := p.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if left := leftIn(p.dir); left != nil {
				t.Errorf("left behind: %q", left)
			} // and open closes it once more
		})
	}
}

func testLayers(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: poolSize})
	want := p.with(deep(64))
	p.holds("64 layers", p.clone("a"), want, true)
	p.expect("a", nil)
}

// An image that cannot be read is an error, and leaves a pool that closes.
func testBrokenImage(t *testing.T, b storagebench.Backend) {
	p := open(t, b, storagebench.Options{Size: poolSize})
	image := fixture()
	broken := errors.New("broken")
	image.Layers[1] = failing(image.Layers[1], 1000, func() error { return broken })
	if err := p.Import(t.Context(), image); !errors.Is(err, broken) {
		t.Errorf("Import: %v", err)
	}
}
