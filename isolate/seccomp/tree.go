package seccomp

import (
	"math"
	"slices"

	"golang.org/x/net/bpf"
)

// A filter is paid for at each start: the kernel checks, translates and
// compiles every instruction, and it runs the filter once for each number that
// it knows, to find those that are allowed whatever their arguments
// (seccomp_cache_prepare in kernel/seccomp.c). So a tree of comparisons is to be
// short, and shallow where the numbers are: of all trees of its kind, the
// cheapest is chosen.
const (
	perInstruction = 60  // one costs as much as this many steps of those runs: 0.15 µs (Linux 6.18, x86)
	numbersTried   = 512 // a few more than there are
)

// tree says how to find a span among those from one index to another. A node
// divides them at a number. At the end is a chain: the numbers of some narrow
// spans, one by one, and all else is one and the same leaf.
type tree struct {
	spans []span
	ends  []int    // of each span the first one that ends alike
	of    [][]node // by the first index and the one past the last
}

type node struct {
	cost  int
	split int // index of the span that the upper part begins with; 0 is a chain
}

func newTree(spans []span) tree {
	n := len(spans)
	t := tree{spans, make([]int, n), make([][]node, n)}
	for i := range t.of {
		t.ends[i] = slices.IndexFunc(spans, func(s span) bool { return slices.Equal(s.leaf, spans[i].leaf) })
		t.of[i] = make([]node, n+1)
	}
	for length := 2; length <= n; length++ {
		for i := 0; i+length <= n; i++ {
			t.of[i][i+length] = t.choose(i, i+length)
		}
	}
	return t
}

func (t tree) choose(i, j int) node {
	tried := t.tried(i, j)
	best := node{cost: math.MaxInt}
	if tests := t.chained(i, j); tests > 0 {
		best.cost = (tests+1)*perInstruction + tests*tried
	}
	for m := i + 1; m < j; m++ {
		cost := t.of[i][m].cost + t.of[m][j].cost + perInstruction + tried
		if j-i == 2 {
			cost += perInstruction // neither branch is what comes next: the kernel makes it two
		}
		if cost < best.cost {
			best = node{cost, m}
		}
	}
	return best
}

// tried is how many of the numbers that the kernel tries are in those spans.
func (t tree) tried(i, j int) int {
	at := func(i int) int {
		if i == len(t.spans) {
			return numbersTried
		}
		return int(min(t.spans[i].from, numbersTried))
	}
	return at(j) - at(i)
}

// chained is how many numbers a chain tests that ends as span i does, 0 where
// there is none.
func (t tree) chained(i, j int) (tests int) {
	for k := i; k < j; k++ {
		if t.ends[k] == t.ends[i] {
			continue
		}
		if k+1 == len(t.spans) || t.spans[k+1].from-t.spans[k].from > 2 {
			return 0
		}
		tests += int(t.spans[k+1].from - t.spans[k].from)
	}
	return tests
}

// search finds the span of the number that is loaded.
func (c *code) search(spans []span) int {
	t := newTree(spans)
	return c.find(t, 0, len(spans))
}

func (c *code) find(t tree, i, j int) int {
	if j-i == 1 {
		return c.leaf(t.spans[i].leaf)
	}
	if m := t.of[i][j].split; m > 0 {
		above := c.find(t, m, j)
		below := c.find(t, i, m)
		return c.add(c.jump(bpf.JumpGreaterOrEqual, t.spans[m].from, above, below))
	}
	next := c.leaf(t.spans[i].leaf)
	for k := j - 1; k > i; k-- {
		if t.ends[k] == t.ends[i] {
			continue
		}
		found := c.leaf(t.spans[k].leaf)
		for nr := t.spans[k].from; nr < t.spans[k+1].from; nr++ {
			next = c.add(c.jump(bpf.JumpEqual, nr, found, next))
		}
	}
	return next
}
