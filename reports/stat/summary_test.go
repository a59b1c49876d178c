package stat

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSummarize(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   Summary
	}{
		{"one", []float64{3}, Summary{N: 1, Median: 3,
			Warnings: []string{"need >= 6 samples for confidence interval at level 0.95"}}},
		{"five", []float64{5, 1, 4, 2, 3}, Summary{N: 5, Median: 3,
			Warnings: []string{"need >= 6 samples for confidence interval at level 0.95"}}},
		{"six", []float64{6, 5, 1, 4, 2, 3}, Summary{N: 6, Median: 3.5, Interval: &Interval{1, 6, 1 - 0.03125}}},
		{"equal", []float64{0, 0, 0, 0, 0, 0}, Summary{N: 6, Interval: &Interval{0, 0, 1 - 0.03125}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := append([]float64(nil), test.values...)
			if diff := cmp.Diff(test.want, Summarize(test.values, Confidence)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, test.values); diff != "" {
				t.Errorf("the caller's values were changed:\n%s", diff)
			}
		})
	}
}

func TestSpreadOf(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{-2}, Spread{-2, -2, -2, -2, -2}},
		{[]float64{4, 0}, Spread{0, 0, 2, 4, 4}},
		{[]float64{7, 1, 3, 5}, Spread{1, 2, 4, 6, 7}},
	} {
		if diff := cmp.Diff(test.want, SpreadOf(test.values)); diff != "" {
			t.Errorf("%v: %s", test.values, diff)
		}
	}
}

func TestTailNeeds(t *testing.T) {
	for p, want := range map[float64]int{0.95: 59, 0.99: 299, 0.999: 2995} {
		if got := TailNeeds(p); got != want {
			t.Errorf("p%v needs %d values, want %d", 100*p, got, want)
		}
		values := make([]float64, want)
		for i := range values {
			values[i] = float64(i + 1)
		}
		if tail := TailOf(values[1:], p); tail.Enough() || tail.Value != 0 {
			t.Errorf("p%v of %d values is claimed: %v", 100*p, want-1, tail)
		}
		if tail := TailOf(values, p); !tail.Enough() || tail.Value < p*float64(want) {
			t.Errorf("p%v of 1 to %d is %v", 100*p, want, tail)
		}
	}
}

// Intervals of the median must cover it as often as they claim, and hold
// what they enclose.
func TestSummarizeCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{6, 10, 31} {
		const runs = 2000
		covered := 0
		for range runs {
			values := make([]float64, n)
			for i := range values {
				values[i] = rng.ExpFloat64()
			}
			const truth = 0.6931471805599453 // median of the exponential distribution, ln 2
			if i := Summarize(values, Confidence).Interval; i.Lo <= truth && truth <= i.Hi {
				covered++
			}
		}
		// Three standard errors of 0.95 over 2,000 runs are 0.0146.
		if share := float64(covered) / runs; share < 0.95-0.0146 {
			t.Errorf("n=%d: %.3f of the intervals cover the median, want 0.95", n, share)
		}
	}
}

func TestSummarizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 6, 60).Draw(t, "values")
		s := Summarize(values, Confidence)
		if i := s.Interval; i == nil || i.Lo > s.Median || s.Median > i.Hi || i.Confidence < Confidence {
			t.Fatalf("%+v does not enclose the median %v", s.Interval, s.Median)
		}
		if wide := Summarize(values, 0.9).Interval; wide.Lo < s.Interval.Lo || wide.Hi > s.Interval.Hi {
			t.Fatalf("the interval at 0.9, %v, is not within that at 0.95, %v", wide, s.Interval)
		}
		// A power of two scales floating point without rounding.
		scaled := make([]float64, len(values))
		for i, v := range values {
			scaled[i] = 8 * v
		}
		want := s
		want.Median *= 8
		want.Interval = &Interval{8 * s.Interval.Lo, 8 * s.Interval.Hi, s.Interval.Confidence}
		if diff := cmp.Diff(want, Summarize(scaled, Confidence)); diff != "" {
			t.Fatal(diff)
		}
		if b := SpreadOf(values); b.Min > b.Q1 || b.Q1 > b.Median || b.Median > b.Q3 || b.Q3 > b.Max {
			t.Fatalf("quartiles out of order: %+v", b)
		}
	})
}
