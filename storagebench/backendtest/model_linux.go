package backendtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
)

// setsOfPool is how many change sets one pool sees: so many clones come and go
// that what one of them leaves would be seen by another.
const setsOfPool = 250

// Model makes random changes in clones, and in a tree in memory, and wants Diff
// to list exactly what differs there: 25 sets of changes, 1,000 with
// PLIMSOLL_MEASURE=1, 3 with -short. Sets are numbered, and the same in each
// run. PLIMSOLL_SETS=250-500 is those from 250 on and below 500, so that several
// machines can share them.
func Model(t *testing.T, b storagebench.Backend) {
	needBackend(t, b)
	first, end := 0, 25
	switch {
	case os.Getenv("PLIMSOLL_SETS") != "":
		if _, err := fmt.Sscanf(os.Getenv("PLIMSOLL_SETS"), "%d-%d", &first, &end); err != nil || first < 0 || end <= first {
			t.Fatalf("PLIMSOLL_SETS=%s, want two numbers as in 250-500: %v", os.Getenv("PLIMSOLL_SETS"), err)
		}
	case os.Getenv("PLIMSOLL_MEASURE") != "":
		end = 1000
	case testing.Short():
		end = 3
	}
	began, listed := time.Now(), 0
	for from := first; from < end && !t.Failed(); from += setsOfPool {
		p := open(t, b, storagebench.Options{Size: poolSize})
		image := synthetic(uint64(from+1), 256<<10) // small: what takes time is the changes, not the bytes
		if layers := fixture().Layers; p.info.Resurfaces {
			image.Layers = append(image.Layers, layers[0]) // the others hide some of it
		} else {
			image.Layers = append(image.Layers, layers...)
		}
		base := p.with(image)
		for set := from; set < min(from+setsOfPool, end) && !t.Failed(); set++ {
			listed += randomSet(p, base, set)
			if n := set + 1 - first; n%50 == 0 || set+1 == end {
				t.Logf("sets %d to %d, %d changes, %.1f s", first, set, listed, time.Since(began).Seconds())
			}
		}
		p.holds("a clone after all these", p.clone("last"), base, true)
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if sets := end - first; listed < 5*sets {
		t.Errorf("%d changes in %d sets: they hardly test anything", listed, sets)
	}
}

// randomSet changes a clone of its own, asks, changes it more and asks again.
func randomSet(p *pool, base *node, set int) (listed int) {
	id := fmt.Sprintf("set-%d", set)
	e := &exercise{
		root: p.clone(id),
		base: base,
		tree: base.clone(map[*node]*node{}),
		rand: rand.New(rand.NewPCG(uint64(set), 0)),
	}
	e.fixed, e.parts = linkedNodes(e.tree), p.info.LinksPart
	if p.info.NoSpecialFiles {
		e.stuck = specialNodes(e.tree)
	}
	if p.info.Resurfaces {
		e.origin = map[*node]string{}
		e.tree.each("/", func(name string, n *node) { e.origin[n] = name })
	}
	for range 2 {
		if err := e.steps(1 + e.rand.IntN(30)); err != nil {
			p.t.Errorf("set %d: %v\n%s", set, err, e)
			break
		}
		want := changes(base, e.tree)
		listed += len(want)
		if !p.expect(id, want) || !p.holds("the clone", e.root, e.tree, false) {
			p.t.Errorf("set %d:\n%s", set, e)
			break
		}
	}
	p.remove(id)
	return listed
}

// linkedNodes are the files of the image that have several names. Some union
// file systems give each name a file of its own when one is written to
// (overlayfs.rst, "Non-standard behavior"): what then is right is not Diff's
// matter, so these are replaced and removed, never written to.
func linkedNodes(tree *node) map[*node]bool {
	seen, linked := map[*node]bool{}, map[*node]bool{}
	tree.each("/", func(_ string, n *node) {
		if !n.isDir() && seen[n] {
			linked[n] = true
		}
		seen[n] = true
	})
	return linked
}

// specialNodes are the devices and FIFOs of the image.
func specialNodes(tree *node) map[*node]bool {
	special := map[*node]bool{}
	tree.each("/", func(_ string, n *node) {
		switch n.kind() {
		case unix.S_IFIFO, unix.S_IFCHR, unix.S_IFBLK:
			special[n] = true
		}
	})
	return special
}

func (e *exercise) String() string { return "\t" + strings.Join(e.log, "\n\t") }
