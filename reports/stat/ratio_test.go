package stat

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPairRounds(t *testing.T) {
	value := map[int][]float64{3: {30, 10, 20}, 0: {1}, 7: {5}, 8: {}}
	base := map[int][]float64{0: {2}, 3: {4, 6}, 8: {1}}
	want := []Pair{{1, 2}, {20, 5}}
	if diff := cmp.Diff(want, PairRounds(value, base)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{1, 20, 5}, RoundMedians(value)); diff != "" {
		t.Error(diff)
	}
}

func TestRatioOf(t *testing.T) {
	pair := func(v, b float64, n int) (pairs []Pair) {
		for range n {
			pairs = append(pairs, Pair{v, b})
		}
		return pairs
	}
	tests := []struct {
		name     string
		pairs    []Pair
		want     float64
		interval bool
		warned   bool
	}{
		{"none", nil, 0, false, true},
		{"one round", pair(6, 3, 1), 2, false, true},
		{"five rounds", pair(6, 3, 5), 2, false, true},
		{"six rounds", pair(6, 3, 6), 2, true, false},
		{"zero baseline", append(pair(6, 3, 6), Pair{1, 0}), 0, false, true},
		{"negative", append(pair(6, 3, 6), Pair{-1, 1}), 0, false, true},
		{"drift cancels", []Pair{{2, 1}, {4, 2}, {8, 4}, {16, 8}, {32, 16}, {64, 32}}, 2, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := RatioOf(test.pairs)
			if math.Abs(r.Value-test.want) > 1e-12 || (len(r.Warnings) > 0) != test.warned {
				t.Errorf("got %+v, want the ratio %v, warned %v", r, test.want, test.warned)
			}
			i := r.Interval(Confidence)
			if (i != nil) != test.interval {
				t.Errorf("interval %v, want one: %v", i, test.interval)
			}
			if i != nil && (i.Lo > test.want || i.Hi < test.want || i.Hi-i.Lo > 1e-9) {
				t.Errorf("interval %v of ratios that are all %v", i, test.want)
			}
		})
	}
}

// At the plain level and at a corrected one, with and without outliers, the
// interval must cover the true ratio as often as it claims.
func TestRatioCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	const truth, runs = 3.0, 600
	for _, n := range []int{6, 10, 20} {
		for _, outliers := range []float64{0, 0.15} {
			noise := func() float64 {
				x := 0.03 * rng.NormFloat64()
				if rng.Float64() < outliers {
					x += 0.3 * rng.ExpFloat64()
				}
				return math.Exp(x)
			}
			covered := map[float64]int{0.95: 0, 0.9975: 0}
			for range runs {
				pairs := make([]Pair, n)
				for i := range pairs {
					drift := math.Exp(0.1 * rng.NormFloat64())
					pairs[i] = Pair{truth * drift * noise(), drift * noise()}
				}
				r := RatioOf(pairs)
				for level := range covered {
					if i := r.Interval(level); i.Lo <= truth && truth <= i.Hi {
						covered[level]++
					}
				}
			}
			for level, count := range covered {
				slack := 3 * math.Sqrt(level*(1-level)/runs)
				if share := float64(count) / runs; share < level-slack {
					t.Errorf("n=%d, %v outliers: %.3f of the intervals cover the ratio, want %v", n, outliers, share, level)
				}
			}
		}
	}
}

func TestRatioProperties(t *testing.T) {
	positive := rapid.Float64Range(1e-9, 1e9)
	pairs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Pair {
		return Pair{positive.Draw(t, "value"), positive.Draw(t, "base")}
	}), MinRounds, 30)
	near := func(a, b float64) bool { return math.Abs(math.Log(a/b)) < 1e-6 }
	rapid.Check(t, func(t *rapid.T) {
		ps := pairs.Draw(t, "pairs")
		r := RatioOf(ps)
		i := r.Interval(Confidence)
		if i.Lo > r.Value || r.Value > i.Hi {
			t.Fatalf("interval %v does not hold the ratio %v", i, r.Value)
		}
		if wide := r.Interval(0.999); wide.Lo > i.Lo || wide.Hi < i.Hi {
			t.Fatalf("the interval at 0.999, %v, does not hold that at 0.95, %v", wide, i)
		}
		swapped, scaled, raised := make([]Pair, len(ps)), make([]Pair, len(ps)), make([]Pair, len(ps))
		for k, p := range ps {
			swapped[k] = Pair{p.Base, p.Value}
			scaled[k] = Pair{p.Value * 1000, p.Base * 1000}
			raised[k] = Pair{p.Value * 1.5, p.Base}
		}
		if s := RatioOf(swapped); !near(s.Value, 1/r.Value) || !near(s.Interval(Confidence).Lo, 1/i.Hi) {
			t.Fatalf("swapping %+v gave %+v, not its inverse", r, s)
		}
		if s := RatioOf(scaled); !near(s.Value, r.Value) || !near(s.Interval(Confidence).Hi, i.Hi) {
			t.Fatalf("another unit turned %+v into %+v", r, s)
		}
		if s := RatioOf(raised); !near(s.Value, 1.5*r.Value) || s.Interval(Confidence).Lo <= i.Lo {
			t.Fatalf("a cell half as slow again turned %+v into %+v", r, s)
		}
	})
}
