package isolate

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"plimsoll/isolate/cgroup"
)

var measuredLimits = cgroup.Limits{CPU: 1, Memory: 64 << 20, PIDs: 100}

// TestMeasureLimits holds a container with limits on memory, CPU and pids,
// from before its groups are made until they are removed, against C: at most
// 1.25 of what starting it without limits and, by themselves, making, writing
// and removing the same groups take there. That leaves out that a child has to
// join its groups, so the same in one piece is measured beside it.
func TestMeasureLimits(t *testing.T) {
	needMeasure(t)
	needRoot(t)
	root := image(t)
	y, ours := startYardstick(t, root, limitGroups(t)...), startServe(t, root)
	for _, gap := range []time.Duration{0, 20 * time.Millisecond} {
		takes := make([][]float64, 4) // ours, then C
		for i := range 200 {
			for k := range takes {
				k = (k + i) % len(takes)
				time.Sleep(gap)
				if k == 0 {
					takes[k] = append(takes[k], ours.launch(t, boundLimits, 1))
				} else {
					takes[k] = append(takes[k], y.launch(t, [...]int{boundLimits, boundSix, boundGroups}[k-1], 1))
				}
			}
		}
		p50 := func(k int) float64 { return median(takes[k]) * 1e6 }
		ratio := p50(0) / (p50(2) + p50(3))
		t.Logf("gap %v: %.0f µs; C in the same groups %.0f µs, ratio %.3f; C without groups %.0f µs, and the groups alone %.0f µs, ratio to the sum %.3f",
			gap, p50(0), p50(1), p50(0)/p50(1), p50(2), p50(3), ratio)
		if ratio > 1.25 {
			t.Errorf("gap %v: a start with limits takes %.3f of the sum, wanted: at most 1.25", gap, ratio)
		}
	}
}

// limitGroups is what the yardstick makes: the groups of a container with the
// measured limits, beside one of ours, and the same writes to them.
func limitGroups(t *testing.T) (args []string) {
	t.Helper()
	host, err := cgroup.Detect("/")
	if err != nil {
		t.Fatal(err)
	}
	run, err := host.NewRun(fmt.Sprintf("yardstick-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	group, err := run.Create("c", measuredLimits)
	if err != nil {
		t.Fatal(err)
	}
	values, err := run.Values(measuredLimits)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range group.Paths() {
		if group.Join().Unified == dir {
			args = append(args, "+"+dir)
		} else {
			args = append(args, dir)
		}
		for _, v := range values {
			if _, err := os.Stat(dir + "/" + v.File); err == nil {
				args = append(args, v.File+"="+v.Data)
			}
		}
	}
	if err := group.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	return args
}
