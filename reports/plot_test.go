package reports

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"plimsoll/reports/stat"
)

func TestThin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-10, 10), 1, 300).Draw(t, "values")
		n := rapid.IntRange(2, 100).Draw(t, "n")
		kept := thin(values, n)
		if len(kept) != min(n, len(values)) || !slices.IsSorted(kept) {
			t.Fatalf("%d of %d values kept, sorted: %v", len(kept), len(values), slices.IsSorted(kept))
		}
		if len(kept) > 1 && (kept[0] != slices.Min(values) || kept[len(kept)-1] != slices.Max(values)) {
			t.Fatalf("the extremes are not kept")
		}
		for _, p := range swarm(kept, newValueAxis(slices.Min(values), slices.Max(values), "s")) {
			if p.offset < -1 || p.offset > 1 {
				t.Fatalf("a dot at %v, outside its strip", p.offset)
			}
		}
	})
}

func TestVanDerCorput(t *testing.T) {
	var got []float64
	for i := 1; i <= 7; i++ {
		got = append(got, vanDerCorput(i))
	}
	want := []float64{1. / 2, 1. / 4, 3. / 4, 1. / 8, 5. / 8, 3. / 8, 7. / 8}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestValueAxis(t *testing.T) {
	for _, test := range []struct {
		lo, hi float64
		unit   string
		log    bool
		want   []string // labels
	}{
		{234e-6, 23e-3, "s", true, []string{"1 ms", "10 ms"}},
		{1e-3, 20e-3, "s", true, []string{"2 ms", "5 ms", "10 ms"}},
		{7.41e9, 7.69e9, "flop/s", false, []string{"7.5 Gflop/s", "7.6 Gflop/s"}},
		{5, 5, "1", false, []string{"4.8", "4.9", "5", "5.1", "5.2"}},
		{0, 0, "s", false, []string{"-0.5 s", "0 s", "0.5 s"}},
		{-3, 40, "B", false, []string{"0 B", "10 B", "20 B", "30 B", "40 B"}},
	} {
		a := newValueAxis(test.lo, test.hi, test.unit)
		var got []string
		for _, tick := range a.ticks {
			if tick.Label != "" {
				got = append(got, tick.Label)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || a.log != test.log {
			t.Errorf("%v to %v: log %v, labels %s", test.lo, test.hi, a.log, diff)
		}
	}
}

func TestRatioAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := math.Exp(rapid.Float64Range(-20, 20).Draw(t, "lo"))
		hi := lo * math.Exp(rapid.Float64Range(0, 20).Draw(t, "width"))
		w := Workload{Metrics: []Metric{{Rows: []Row{{Comparison: &Comparison{
			Ratio: stat.Ratio{Value: math.Sqrt(lo * hi)}, Interval: &stat.Interval{Lo: lo, Hi: hi}}}}}}}
		a := newRatioAxis(w)
		for _, r := range []float64{lo, 1, hi, 1 + Margin} {
			if at := a.at(r); at < 0 || at > 100 {
				t.Fatalf("%v is at %v%%, off the axis", r, at)
			}
		}
		if len(a.Ticks) == 0 || len(a.Ticks) > 8 || !slices.IsSorted(a.Ticks) {
			t.Fatalf("ticks %v", a.Ticks)
		}
	})
}

func TestBar(t *testing.T) {
	for _, test := range []struct {
		fraction float64
		want     string
	}{{0, ""}, {0.001, "▏"}, {1, "████"}, {0.5, "██"}, {0.28125, "█▏"}, {2, "████"}, {0.47, "█▉"}} {
		if got := bar(test.fraction, 4); got != test.want {
			t.Errorf("%v: %q, want %q", test.fraction, got, test.want)
		}
	}
}
