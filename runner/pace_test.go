package runner

import (
	"testing"
	"time"

	"plimsoll/profiles"
)

// TestPaceOfPools has trials on storage take a second, and four more where a
// pool is to be built first: what is left is right long before the end, for the
// first trial of a cell says nothing of its others.
func TestPaceOfPools(t *testing.T) {
	p, err := profiles.Parse("test.yaml", []byte(`
rounds: 10
budget: 24h
factors: {workload: [provision, churn, large_change, import, io], runtime: [isolate], storage: [btrfs, vfs]}
workloads: {provision: {params: {layers: [1, 8, 64]}}}
`), profiles.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(p, []Host{{Name: "here"}}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	const trial, making = time.Second, 4 * time.Second
	built := map[pool]bool{}
	cost := func(k Key) time.Duration {
		of, shared := poolOf(k)
		if !shared || built[of] {
			return trial
		}
		built[of] = true
		return making + trial
	}
	var costs []time.Duration
	var whole time.Duration
	for _, tr := range plan.Trials {
		costs = append(costs, cost(tr.Key))
		whole += costs[len(costs)-1]
	}
	// An image of each number of layers, one with files and the containers'.
	if len(built) != 2*5 {
		t.Errorf("pools %v, want five of each storage", built)
	}
	pc := newPace(plan, nil)
	if got := pc.left(); got != plan.Estimate {
		t.Errorf("%s are left before the first trial, and %s are estimated", got, plan.Estimate)
	}
	left := whole
	for i, tr := range plan.Trials {
		pc.took(tr.Key, costs[i])
		left -= costs[i]
		if wrong := (pc.left() - left).Abs(); i > len(costs)/5 && wrong > whole/100 {
			t.Errorf("after trial %d of %d: %s are said to be left, and %s are", i, len(costs), pc.left(), left)
		}
	}
}
