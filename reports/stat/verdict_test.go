package stat

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestJudge(t *testing.T) {
	iv := func(lo, hi float64) *Interval { return &Interval{lo, hi, Confidence} }
	tests := []struct {
		name     string
		interval *Interval
		rule     Rule
		want     Verdict
	}{
		{"no interval", nil, Rule{Margin: 0.02}, Inconclusive},
		{"within the margin", iv(0.985, 1.015), Rule{Margin: 0.02}, Same},
		{"a difference too small to matter", iv(1.005, 1.015), Rule{Margin: 0.02}, Same},
		{"slower", iv(1.03, 1.05), Rule{Margin: 0.02}, Worse},
		{"faster", iv(0.9, 0.95), Rule{Margin: 0.02}, Better},
		{"higher throughput", iv(1.03, 1.05), Rule{Margin: 0.02, HigherBetter: true}, Better},
		{"lower throughput", iv(0.9, 0.95), Rule{Margin: 0.02, HigherBetter: true}, Worse},
		{"straddles the margin", iv(1.01, 1.05), Rule{Margin: 0.02}, Inconclusive},
		{"straddles 1 and the margin", iv(0.9, 1.1), Rule{Margin: 0.02}, Inconclusive},
		{"same, but the control differs more", iv(0.99, 1.01), Rule{Margin: 0.02, Floor: 0.05}, Inconclusive},
		{"beyond the margin, within the floor", iv(1.03, 1.04), Rule{Margin: 0.02, Floor: 0.05}, Inconclusive},
		{"beyond both", iv(1.06, 1.09), Rule{Margin: 0.02, Floor: 0.05}, Worse},
		{"beyond both, a quiet control", iv(1.03, 1.04), Rule{Margin: 0.02, Floor: 0.01}, Worse},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Judge(test.interval, test.rule); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestJudgeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := rapid.Float64Range(0.5, 2).Draw(t, "lo")
		i := Interval{Lo: lo, Hi: lo * rapid.Float64Range(1, 1.5).Draw(t, "width")}
		rule := Rule{
			Margin:       rapid.Float64Range(0.001, 0.2).Draw(t, "margin"),
			Floor:        rapid.Float64Range(0, 0.2).Draw(t, "floor"),
			HigherBetter: rapid.Bool().Draw(t, "higher"),
		}
		got := Judge(&i, rule)

		opposite := map[Verdict]Verdict{Better: Worse, Worse: Better, Same: Same, Inconclusive: Inconclusive}
		if swapped := Judge(&Interval{Lo: 1 / i.Hi, Hi: 1 / i.Lo}, rule); swapped != opposite[got] && !borderline(i, rule) {
			t.Fatalf("%v is %s, but swapped it is %s", i, got, swapped)
		}
		turned := rule
		turned.HigherBetter = !rule.HigherBetter
		if other := Judge(&i, turned); other != opposite[got] {
			t.Fatalf("%v is %s, but %s when the other direction is better", i, got, other)
		}
		// More noise or a wider interval can only take certainty away.
		noisier := rule
		noisier.Floor *= 2
		wider := Interval{Lo: i.Lo / 1.1, Hi: i.Hi * 1.1}
		for _, v := range []Verdict{Judge(&i, noisier), Judge(&wider, rule)} {
			if v != got && v != Inconclusive {
				t.Fatalf("%v under %+v went from %s to %s", i, rule, got, v)
			}
		}
	})
}

// borderline: 1/(1/x) may fall on the other side of a bound that x is next to.
func borderline(i Interval, rule Rule) bool {
	for _, bound := range []float64{rule.Margin, rule.Floor} {
		for _, end := range []float64{i.Lo, i.Hi} {
			if math.Abs(math.Abs(math.Log(end))-math.Log1p(bound)) < 1e-9 {
				return true
			}
		}
	}
	return false
}

// Of many comparisons of a cell with itself, next to none may be called
// different: the correction holds for the family, and an A/A control judged
// against its own noise is the rule's own control.
func TestNoFalseAlarms(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	const families, size, rounds = 60, 12, 10
	alarms := 0
	for range families {
		alarm := false
		for range size {
			pairs := make([]Pair, rounds)
			for i := range pairs {
				pairs[i] = Pair{math.Exp(0.05 * rng.NormFloat64()), math.Exp(0.05 * rng.NormFloat64())}
			}
			i := RatioOf(pairs).Interval(Corrected(Confidence, size))
			if v := Judge(i, Rule{Margin: 0}); v == Better || v == Worse {
				alarm = true
			}
		}
		if alarm {
			alarms++
		}
	}
	// 5% of 60 families are 3; eight or more come by chance once in 100.
	if alarms > 7 {
		t.Errorf("%d of %d families of equal cells had a difference found in them, want about %v", alarms, families, families*0.05)
	}
}

func TestCorrected(t *testing.T) {
	for m, want := range map[int]float64{0: 0.95, 1: 0.95, 20: 0.9975} {
		if got := Corrected(Confidence, m); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d comparisons: %v, want %v", m, got, want)
		}
	}
}

func TestRoundsFor(t *testing.T) {
	pairs := []Pair{{100, 100}, {104, 100}, {97, 100}, {102, 100}, {99, 100}, {95, 100}, {103, 100}, {101, 100}}
	r := RatioOf(pairs)
	half := math.Exp(math.Log(r.Interval(Confidence).Hi/r.Value)/2) - 1
	if got := r.RoundsFor(Confidence, half); got != 4*len(pairs) && got != 4*len(pairs)+1 {
		t.Errorf("half the width needs %d rounds, want four times %d", got, len(pairs))
	}
	if got := r.RoundsFor(Confidence, 10); got != len(pairs) {
		t.Errorf("an interval narrow enough needs %d rounds, want the %d it has", got, len(pairs))
	}
	if got := RatioOf(pairs[:3]).RoundsFor(Confidence, 0.1); got != 0 {
		t.Errorf("an estimate, %d, from too few rounds", got)
	}
}
