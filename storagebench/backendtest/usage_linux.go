package backendtest

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"plimsoll/storagebench"
)

// Usage grows by what is written, and by little more.
func testUsage(t *testing.T, b storagebench.Backend) {
	const written = 10 << 20
	p := open(t, b, storagebench.Options{Size: poolSize})
	empty := p.usage()
	p.with(synthetic(1, 1<<20))
	imported := p.usage()
	root := p.clone("a")
	cloned := p.usage()
	writeSynced(t, filepath.Join(root, "new"), random(1, written))
	after := p.usage()

	const slack = 4 << 20 // of metadata
	if got := imported.Used - empty.Used; got < 512<<10 || got > 16<<20 {
		t.Errorf("an image of 1 MiB takes %d bytes", got)
	}
	if got := after.Used - cloned.Used; got < written-slack || got > written+slack {
		t.Errorf("10 MiB in a clone take %d bytes", got)
	}
	if got := cloned.Used - imported.Used; b.Info().Kind != storagebench.Copy && got > 16<<20 {
		t.Errorf("a clone takes %d bytes", got)
	}
	if got := cloned.Free - after.Free; after.Free != -1 && !b.Info().Forgets && (got < written-slack || got > written+2*slack) {
		t.Errorf("10 MiB in a clone leave %d bytes less", got)
	}
	if got := after.Written - cloned.Written; !b.Info().Forgets && got < written {
		t.Errorf("10 MiB in a clone wrote %d bytes to the device", got)
	}
	for i, u := range []storagebench.Usage{empty, imported, cloned, after} {
		if u.Used < 0 || u.Free < -1 || u.Written < 0 || u.Read < 0 {
			t.Errorf("usage %d: %+v", i, u)
		}
		if i > 0 && (u.Written < empty.Written || u.Read < empty.Read) {
			t.Errorf("a counter went back: %+v, then %+v", empty, u)
		}
	}
	p.remove("a")
	if removed := p.usage(); after.Used-removed.Used < written-slack {
		t.Errorf("removing a clone with 10 MiB gave back %d bytes", after.Used-removed.Used)
	}
}

// random does not compress.
func random(seed uint64, size int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	b := make([]byte, size)
	r.Read(b)
	return b
}

func writeSynced(t *testing.T, file string, content []byte) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}
