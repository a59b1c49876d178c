package runner

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"plimsoll/profiles"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}

func profile(t *testing.T, text string) profiles.Profile {
	t.Helper()
	p, err := profiles.Parse("test.yaml", []byte(text), profiles.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var vm = Host{Name: "vm", Dirs: map[string]string{"": "ext4"}}

func mustPlan(t *testing.T, text string, hosts ...Host) Plan {
	t.Helper()
	if hosts == nil {
		hosts = []Host{vm}
	}
	p, err := NewPlan(profile(t, text), hosts, 7, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cells lists a plan's cells and skips, a line each.
func cells(p Plan) []string {
	var out []string
	for _, c := range p.Cells {
		line := c.Key.String()
		if c.Role != Asked {
			line += " (" + string(c.Role) + ")"
		}
		out = append(out, line)
	}
	for _, s := range p.Skips {
		line := "skip " + s.Key.String()
		if s.Named {
			line += " (named)"
		}
		out = append(out, line)
	}
	return out
}

func TestCells(t *testing.T) {
	lacksCrun := Host{Lacks: []Lack{{Where: profiles.Exclusion{Runtime: []string{"crun"}}, Reason: "crun: not found"}}}
	bwrapLimits := Host{Lacks: []Lack{{Where: profiles.Exclusion{Runtime: []string{"bwrap"}, Limits: []string{"small"}}}}}
	noCPU := Host{Lacks: []Lack{{Where: profiles.Exclusion{Workload: []string{"cpu"}}}}}
	noDirect := Host{Lacks: []Lack{{Where: profiles.Exclusion{Params: map[string][]string{"direct": {"true"}}}}}}
	for _, c := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{"bare combinations fall together", "factors: {runtime: [bare, isolate], storage: [bind, overlay], limits: [none, s], network: [none, host]}\nlimits: {s: {pids: 9}}\nexclude: [{network: host, storage: bind}, {limits: s, network: host}]\n", Host{}, []string{
			"startup/bare",
			"startup/bare variant=a/a (control)",
			"startup/isolate storage=bind network=none",
			"startup/isolate storage=bind limits=s network=none",
			"startup/isolate storage=overlay network=none",
			"startup/isolate storage=overlay",
			"startup/isolate storage=overlay limits=s network=none",
		}},
		{"a missing baseline is added", "factors: {runtime: runc, fleet: [1, 8]}\n", Host{}, []string{
			"startup/bare (baseline)",
			"startup/bare variant=a/a (control)",
			"startup/runc storage=overlay network=none",
			"startup/bare fleet=8 (baseline)",
			"startup/bare fleet=8 variant=a/a (control)",
			"startup/runc storage=overlay network=none fleet=8",
		}},
		{"rungs are isolate's", "factors: {runtime: [bare, isolate, runc]}\nworkloads: {startup: {params: {rung: [five, six, root, full]}}}\n", Host{}, []string{
			"startup/bare",
			"startup/bare variant=a/a (control)",
			"startup/isolate params=rung=five",
			"startup/runc storage=overlay network=none",
			"startup/isolate network=none params=rung=six",
			"startup/isolate storage=overlay network=none params=rung=root",
			"startup/isolate storage=overlay network=none",
		}},
		{"parameters are a dimension", "factors: {workload: io, runtime: bare}\nworkloads: {io: {params: {direct: [true, false], block: [4096, 1MiB]}}}\n", noDirect, []string{
			"io/bare",
			"io/bare variant=a/a (control)",
			"io/bare params=block=1MiB",
			"io/bare params=block=1MiB variant=a/a (control)",
			"skip io/bare params=direct=true (named)",
			"skip io/bare params=block=1MiB,direct=true (named)",
		}},
		{"variants have controls of their own", "factors: {runtime: [bare, runc], variant: [old, new]}\n", Host{}, []string{
			"startup/bare variant=old",
			"startup/bare variant=old:a/a (control)",
			"startup/bare variant=new",
			"startup/bare variant=new:a/a (control)",
			"startup/runc storage=overlay network=none variant=old",
			"startup/runc storage=overlay network=none variant=new",
		}},
		{"a named level that is lacking", "factors: {runtime: [bare, crun]}\n", lacksCrun, []string{
			"startup/bare",
			"startup/bare variant=a/a (control)",
			"skip startup/crun storage=overlay network=none (named)",
		}},
		{"a combination is named when all its levels are", "factors: {runtime: [bare, bwrap], limits: [none, small]}\nlimits: {small: {pids: 9}}\n", bwrapLimits, []string{
			"startup/bare",
			"startup/bare variant=a/a (control)",
			"startup/bwrap storage=overlay network=none",
			"skip startup/bwrap storage=overlay limits=small network=none (named)",
		}},
		{"a workload that cannot run takes its baseline along", "factors: {workload: [cpu, startup], runtime: isolate}\n", noCPU, []string{
			"startup/bare (baseline)",
			"startup/bare variant=a/a (control)",
			"startup/isolate storage=overlay network=none",
			"skip cpu/isolate storage=overlay network=none (named)",
		}},
		{"own runtimes and directories go by name", "factors: {runtime: [pr=oci:./my-runc], dir: ['', /data, /x]}\nexclude: [{dir: /x}]\n",
			Host{Dirs: map[string]string{"": "ext4", "/data": "xfs"}}, []string{
				"startup/bare dir=ext4 (baseline)",
				"startup/bare dir=ext4 variant=a/a (control)",
				"startup/pr storage=overlay dir=ext4 network=none",
				"startup/bare dir=xfs (baseline)",
				"startup/bare dir=xfs variant=a/a (control)",
				"startup/pr storage=overlay dir=xfs network=none",
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cells(mustPlan(t, c.text, c.host))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Levels of a built-in profile are nobody's wish: what lacks there is left
// out in peace, unless --require names it.
func TestNamedByRequire(t *testing.T) {
	p, err := profiles.Load("quick", profiles.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	host := Host{Lacks: []Lack{{Where: profiles.Exclusion{Runtime: []string{"crun"}}, Reason: "crun: not found", Fix: "apt-get install crun"}}}
	for _, c := range []struct {
		require []string
		named   int
	}{{nil, 0}, {[]string{"startup/crun"}, 1}, {[]string{"startup/runc storage=overlay", "cpu/bare"}, 0}} {
		plan, err := NewPlan(p, []Host{host}, 1, c.require)
		if err != nil {
			t.Fatal(err)
		}
		var r Result
		r.skips(plan.Skips)
		if r.Skips != 1 || r.NamedSkips != c.named {
			t.Errorf("require %v: %d skips, %d named", c.require, r.Skips, r.NamedSkips)
		}
	}
	_, err = NewPlan(p, []Host{host}, 1, []string{"startup/rnc"})
	const want = `--require "startup/rnc": the plan has no such cell; the nearest is "startup/runc storage=overlay network=none"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPlanGolden(t *testing.T) {
	p := mustPlan(t, "rounds: 3\nfactors: {workload: [startup, cpu], runtime: [bare, isolate], limits: [none, small]}\nlimits: {small: {memory: 64MiB}}\nworkloads: {startup: {repeats: 2}}\n")
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	hash, _ := p.Hash()
	text := string(b) + "\n" + hash + "\n"
	for _, trial := range p.Trials {
		text += fmt.Sprintf("%d %d %s\n", trial.ID, trial.Round, trial.Key)
	}
	golden(t, "testdata/plan.golden", text)
}

// The built-in profiles must fit: quick into a minute and a bit on two cores.
func TestBuiltinEstimates(t *testing.T) {
	for name, most := range map[string]time.Duration{"quick": 70 * time.Second, "startup": 15 * time.Minute, "overhead": 15 * time.Minute} {
		p, err := profiles.Load(name, profiles.Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := NewPlan(p, []Host{vm}, 1, nil)
		if err != nil || plan.Estimate > most {
			t.Errorf("%s: %s estimated, %v; want at most %s", name, plan.Estimate, err, most)
		}
	}
}

func TestBudget(t *testing.T) {
	p := profile(t, "rounds: 100\nbudget: 10s\nfactors: {workload: [cpu, startup], runtime: [bare, runc]}\n")
	plan, err := NewPlan(p, []Host{vm}, 1, nil)
	var over *BudgetError
	if !errors.As(err, &over) {
		t.Fatalf("got %v, want a budget error", err)
	}
	if over.Budget != 10*time.Second || over.Estimate != plan.Estimate || plan.Trials != nil || len(plan.Cells) != 6 {
		t.Errorf("%+v of %d cells, %d trials", over, len(plan.Cells), len(plan.Trials))
	}
	golden(t, "testdata/budget.golden", err.Error()+"\n")

	p.Rounds = 100_000
	p.Budget = 1 << 62
	p.Workloads["startup"] = profiles.Workload{Repeats: 100_000}
	if _, err := NewPlan(p, []Host{vm}, 1, nil); err == nil {
		t.Error("ten thousand million trials were planned")
	}
}

func TestPlanRefuses(t *testing.T) {
	many := profile(t, "factors: {runtime: bare}\n")
	for i := range 1000 {
		many.Factors.Variant = append(many.Factors.Variant, fmt.Sprint(i))
		many.Factors.Fleet = append(many.Factors.Fleet, i+1)
	}
	for name, p := range map[string]profiles.Profile{
		"everything excluded": profile(t, "exclude: [{workload: startup}]\n"),
		"no rounds":           {},
		"too many cells":      many,
	} {
		if _, err := NewPlan(p, []Host{vm}, 1, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// anyProfile draws a small valid profile.
func anyProfile(t *rapid.T) profiles.Profile {
	levels := func(name string, from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, len(from), rapid.ID).Draw(t, name)
	}
	p := profiles.Profile{
		Name: "any", Rounds: rapid.IntRange(1, 5).Draw(t, "rounds"), Budget: 1000 * time.Hour,
		Factors: profiles.Factors{
			Workload: levels("workload", "startup", "cpu", "memory", "io"),
			Runtime:  levels("runtime", "bare", "isolate", "runc", "bwrap"),
			Storage:  levels("storage", "host", "bind", "overlay"),
			Dir:      []string{""},
			Limits:   levels("limits", "none", "a", "b"),
			Network:  levels("network", "none", "host"),
			Fleet:    []int{1, rapid.IntRange(2, 9).Draw(t, "fleet")},
			Cache:    levels("cache", "warm", "cold"),
			Variant:  levels("variant", "", "x"),
		},
		Limits:    map[string]profiles.Limits{"a": {PIDs: 1}, "b": {PIDs: 2}},
		Workloads: map[string]profiles.Workload{},
	}
	for _, w := range p.Factors.Workload {
		p.Workloads[w] = profiles.Workload{Repeats: rapid.IntRange(1, 3).Draw(t, w), Params: map[string][]string{}}
	}
	if _, ok := p.Workloads["startup"]; ok {
		p.Workloads["startup"].Params["rung"] = levels("rung", "pid", "five", "six", "root", "full")
	}
	if _, ok := p.Workloads["io"]; ok {
		p.Workloads["io"].Params["block"] = levels("block", "4KiB", "1MiB")
		p.Workloads["io"].Params["direct"] = levels("direct", "true", "false")
	}
	return p
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyProfile(t)
		host := Host{Name: "h"}
		if rapid.Bool().Draw(t, "lacks bwrap") {
			host.Lacks = []Lack{{Where: profiles.Exclusion{Runtime: []string{"bwrap"}}}}
		}
		seed := rapid.Uint64().Draw(t, "seed")
		plan, err := NewPlan(p, []Host{host, {Name: "i"}}, seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys := map[Key]Cell{}
		for _, c := range plan.Cells {
			if _, twice := keys[c.Key]; twice {
				t.Fatalf("cell %s stands twice", c.Key)
			}
			keys[c.Key] = c
		}
		counts := make([]map[Key]int, p.Rounds)
		for i, trial := range plan.Trials {
			if trial.ID != i || i > 0 && trial.Round < plan.Trials[i-1].Round {
				t.Fatalf("trial %d is out of order: %+v", i, trial)
			}
			if counts[trial.Round] == nil {
				counts[trial.Round] = map[Key]int{}
			}
			counts[trial.Round][trial.Key]++
		}
		for round, count := range counts {
			if len(count) != len(keys) {
				t.Fatalf("round %d has %d cells of %d", round, len(count), len(keys))
			}
			for k, n := range count {
				if n != keys[k].Repeats {
					t.Fatalf("round %d has %s %d times, not %d", round, k, n, keys[k].Repeats)
				}
			}
		}
		for k := range keys {
			if _, ok := keys[k.Baseline()]; !ok {
				t.Fatalf("%s has no baseline", k)
			}
			if _, ok := keys[k.Baseline().Control()]; !ok {
				t.Fatalf("%s has no control", k)
			}
		}
		again, err := NewPlan(p, []Host{host, {Name: "i"}}, seed, nil)
		if err != nil {
			t.Fatal(err)
		}
		one, _ := plan.Hash()
		two, _ := again.Hash()
		if one != two || !slices.Equal(plan.Trials, again.Trials) {
			t.Fatal("the same inputs gave another plan")
		}
	})
}

// An order drawn from the seed must differ between rounds and between seeds,
// and put no cell at a place of its own.
func TestOrderIsRandom(t *testing.T) {
	p := profile(t, "rounds: 600\nbudget: 100h\nfactors: {runtime: [bare, isolate, runc, crun, bwrap]}\n")
	plan, err := NewPlan(p, []Host{vm}, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := len(plan.Cells)
	first := map[Key]int{}
	for i := 0; i < len(plan.Trials); i += n {
		first[plan.Trials[i].Key]++
	}
	for k, count := range first {
		// 600 rounds of 6 cells: 100 each, with a standard deviation of 9.
		if count < 60 || count > 140 {
			t.Errorf("%s is first in %d of 600 rounds", k, count)
		}
	}
	other, _ := NewPlan(p, []Host{vm}, 4, nil)
	if slices.Equal(plan.Trials, other.Trials) {
		t.Error("another seed gave the same order")
	}
}

func TestLevels(t *testing.T) {
	got := mustPlan(t, "factors: {workload: cpu, limits: [small]}\nlimits: {small: {memory: 65536KiB}}\n").Levels()
	want := Levels{
		"limits":   {"small": {"memory": "64MiB"}},
		"workload": {"cpu": {"part": "all", "n": "500", "duration": "100ms", "threads": "0"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
