package reports

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// checkText demands what holds of every text report.
func checkText(t interface {
	Helper()
	Errorf(string, ...any)
}, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if n := utf8.RuneCountInString(line); n > Columns {
			t.Errorf("%d columns, want at most %d: %s", n, Columns, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("trailing spaces: %q", line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) {
			t.Errorf("control characters: %q", line)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(); err == nil {
		t.Error("a report of no journal")
	}
	if _, err := New(nil); err == nil {
		t.Error("a report of a journal that is missing")
	}
}

// The verdicts of a run in which every effect is known.
func TestKnownEffects(t *testing.T) {
	s := newSynthetic("vm", 11, 30)
	s.rounds(30, func() {
		for _, k := range []runner.Key{bare("cpu"), bare("cpu").Control(), container("cpu", "isolate")} {
			f := 1.0
			if k.Runtime == "isolate" {
				f = 1.25
			}
			s.trial(k, rate("flops", "flop/s", 7e9*f, 0.003), rate("integer", "op/s", 2e9/f, 0.003),
				seconds("latency", 1e-7, 0.003), seconds("page_fault", 1e-6/f, 0.003), rate("syscall", "op/s", 1e6*f, 0.5))
		}
	})
	run := mustNew(t, s.end("complete")).Runs[0]
	if run.Rules.Comparisons != 5 || math.Abs(run.Rules.Corrected-0.99) > 1e-12 {
		t.Errorf("rules %+v, want 5 comparisons at 0.99", run.Rules)
	}
	want := map[string]stat.Verdict{
		"flops": stat.Better, "integer": stat.Worse, "latency": stat.Same, "page_fault": stat.Better, "syscall": stat.Inconclusive,
	}
	got := map[string]stat.Verdict{}
	for _, m := range run.Workloads[0].Metrics {
		row, _ := m.row(withHost(container("cpu", "isolate"), "vm"))
		got[m.Name] = row.Comparison.Verdict
		if row.Comparison.Floor == nil {
			t.Errorf("%s: no noise floor", m.Name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyJournals(t *testing.T) {
	single := newSynthetic("vm", 1, 1)
	single.rounds(1, func() {
		single.trial(bare("startup"), starts(1)...)
		single.trial(container("startup", "isolate"), starts(6)...)
	})
	alone := newSynthetic("vm", 1, 8)
	alone.rounds(8, func() { alone.trial(container("startup", "runc"), starts(6)...) })
	failing := newSynthetic("vm", 1, 1)
	failing.fail(container("startup", "isolate"), "clone3", "EPERM")
	skipping := newSynthetic("vm", 1, 1)
	skipping.journal.Skips = []runner.Skip{{Key: container("startup", "runc"), Reason: "not found", Fix: "install it"}}
	odd := newSynthetic("vm", 1, 8)
	odd.rounds(8, func() {
		for _, k := range []runner.Key{bare("cpu"), container("cpu", "isolate")} {
			odd.trial(k, measured{"zero", "1", runner.Lower, 0, 0}, measured{"negative", "furlong", "sideways", -3, 0.1},
				seconds("huge", 1e300, 0), seconds("tiny", 1e-300, 0), measured{"wide", "s", runner.Lower, 1e-20 * math.Pow(1e6, float64(odd.round)), 0})
		}
	})
	for _, test := range []struct {
		name    string
		journal *runner.Journal
		want    []string // in the text
	}{
		{"nothing at all", &runner.Journal{}, []string{"holds no samples", "unfinished"}},
		{"one round", single.end("complete"), []string{"too few", "--rounds 6"}},
		{"no baseline", alone.end("complete"), []string{"no ratio", "nothing to compare with", "Nothing could be compared"}},
		{"only failures", failing.end("complete"), []string{"measured: 1 trial failed", "clone3: EPERM"}},
		{"only skips", skipping.end("complete"), []string{"measured: 1 cell skipped", "install it"}},
		{"odd values", odd.end("complete"), []string{"furlong", "left out"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := mustNew(t, test.journal)
			text := renderAll(t, r)
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("the text lacks %q:\n%s", want, text)
				}
			}
			checkPage(t, render(t, r))
		})
	}
}

// renderAll checks the text and the JSON, and gives the text.
func renderAll(t interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
}, r Report) string {
	t.Helper()
	var text, coloured, object strings.Builder
	if err := Text(&text, r, false); err != nil {
		t.Fatal(err)
	}
	checkText(t, text.String())
	if err := Text(&coloured, r, true); err != nil {
		t.Fatal(err)
	}
	if plain := escapes.ReplaceAllString(coloured.String(), ""); plain != text.String() {
		t.Errorf("colour changes more than colour:\n%s", cmp.Diff(text.String(), plain))
	}
	if err := JSON(&object, r); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal([]byte(object.String()), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Runs) != len(r.Runs) {
		t.Errorf("JSON has %d runs, want %d", len(back.Runs), len(r.Runs))
	}
	return text.String()
}

// Runs and hosts are never put together.
func TestSeveral(t *testing.T) {
	a, b := quick("alpha", 1, 6), quick("alpha", 1, 6)
	b.Header.Levels["runtime"]["runc"]["version"] = "1.2.0"
	both := quick("alpha", 2, 6)
	both.Header.Hosts = append(both.Header.Hosts, runner.HostInfo{Name: "beta"})
	for i := range both.Samples {
		if both.Samples[i].Trial%2 == 1 {
			both.Samples[i].Key.Host = "beta"
		}
	}
	for i := range both.Trials {
		if i%2 == 1 {
			both.Trials[i].Key.Host = "beta"
		}
	}
	r := mustNew(t, a, b, both)
	var names []string
	samples := 0
	for _, run := range r.Runs {
		names = append(names, run.Label)
		for _, w := range run.Workloads {
			for _, m := range w.Metrics {
				for _, row := range m.Rows {
					samples += row.Values
				}
			}
		}
	}
	want := []string{"alpha · 20261121-090411-0001", "alpha · 20261121-090411-0001 (2)", "alpha · 20261121-090411-0002", "beta · 20261121-090411-0002"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	all := 0
	for _, j := range []*runner.Journal{a, b, both} {
		for _, s := range j.Samples {
			if !isPhase(s.Metric) {
				all++
			}
		}
	}
	if samples != all {
		t.Errorf("%d samples in the tables, %d in the journals", samples, all)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "version 1.2.0") {
		t.Errorf("notes %q, want one about the versions of runc", r.Notes)
	}
	for _, b := range r.Beside {
		if len(b.Figures) != 4 {
			t.Fatalf("%s %s has %d figures, want 4", b.Metric, b.Label, len(b.Figures))
		}
	}
	renderAll(t, r)
}

// A journal's records come in the order in which trials were shuffled: the
// report must not depend on it, except for the order of operations.
func TestOrderDoesNotMatter(t *testing.T) {
	j := quick("vm", 5, 6)
	want := mustNew(t, j)
	for i, k := 0, len(j.Samples)-1; i < k; i, k = i+1, k-1 {
		j.Samples[i], j.Samples[k] = j.Samples[k], j.Samples[i]
	}
	got := mustNew(t, j)
	for i := range got.Runs[0].Workloads {
		got.Runs[0].Workloads[i].Breakdowns, want.Runs[0].Workloads[i].Breakdowns = nil, nil
	}
	var a, b strings.Builder
	if err := JSON(&a, want); err != nil {
		t.Fatal(err)
	}
	if err := JSON(&b, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a.String(), b.String()); diff != "" {
		t.Error(diff)
	}
}

// Whatever a journal holds, every format renders.
func TestAnyJournal(t *testing.T) {
	name := rapid.SampledFrom([]string{"", "startup", "io", "isolate", "bare", "a/a", "phase/", "rung=pid", "k=v,w", "<b>", "start_to_exit", "host"})
	key := rapid.Custom(func(t *rapid.T) runner.Key {
		return runner.Key{
			Workload: name.Draw(t, "workload"), Runtime: name.Draw(t, "runtime"), Storage: name.Draw(t, "storage"), Limits: name.Draw(t, "limits"),
			Fleet: rapid.IntRange(-1, 3).Draw(t, "fleet"), Params: name.Draw(t, "params"), Variant: name.Draw(t, "variant"), Host: name.Draw(t, "host"),
		}
	})
	finite := rapid.Float64().Filter(func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) })
	rapid.Check(t, func(t *rapid.T) {
		j := &runner.Journal{Header: runner.Header{Run: name.Draw(t, "run"), Started: time.Unix(0, 0)}}
		keys := rapid.SliceOfN(key, 1, 4).Draw(t, "keys")
		for i := range rapid.IntRange(0, 60).Draw(t, "samples") {
			j.Samples = append(j.Samples, runner.Sample{
				Key: rapid.SampledFrom(keys).Draw(t, "key"), Round: rapid.IntRange(-1, 8).Draw(t, "round"), Trial: i,
				Metric: name.Draw(t, "metric"), Unit: rapid.SampledFrom([]string{"", "1", "s", "B", "op/s"}).Draw(t, "unit"),
				Better: runner.Better(rapid.SampledFrom([]string{"lower", "higher", ""}).Draw(t, "better")),
				Value:  rapid.OneOf(finite, rapid.Float64Range(0.9, 1.1)).Draw(t, "value"),
			})
		}
		for i, k := range keys {
			j.Trials = append(j.Trials, runner.TrialRecord{Trial: i, Key: k, Outcome: name.Draw(t, "outcome"), Host: map[string]float64{"steal": finite.Draw(t, "steal")}})
		}
		r, err := New(j)
		if err != nil {
			t.Fatal(err)
		}
		renderAll(t, r)
		var page strings.Builder
		if err := HTML(&page, r); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.String(), "NaN") || strings.Contains(page.String(), "Inf") {
			t.Fatalf("the page has a number that is none")
		}
	})
}
