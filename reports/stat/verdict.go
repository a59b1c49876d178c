package stat

import "math"

// Verdict is what can be said of a cell against its baseline.
type Verdict string

const (
	Better       Verdict = "better"
	Same         Verdict = "same" // equivalent: the whole interval lies within the margin
	Worse        Verdict = "worse"
	Inconclusive Verdict = "inconclusive"
)

// Rule is what an interval is judged by. Margin and Floor are relative: 0.02
// stands for ratios from 1/1.02 to 1.02, so that exchanging a cell and its
// baseline exchanges better and worse and nothing else.
type Rule struct {
	Margin       float64 // differences that do not matter, set before the run
	Floor        float64 // noise floor: what the A/A control shows; 0 when there was none
	HigherBetter bool
}

// Judge decides by interval inclusion, as an equivalence test does
// (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987):
// beyond both margin and floor is a difference; within the margin is the
// same, where the floor is low enough to have shown a difference; all else,
// and a missing interval, is inconclusive.
func Judge(interval *Interval, rule Rule) Verdict {
	if interval == nil {
		return Inconclusive
	}
	bound := 1 + max(rule.Margin, rule.Floor)
	above, below := interval.Lo > bound, interval.Hi < 1/bound
	switch {
	case above && rule.HigherBetter, below && !rule.HigherBetter:
		return Better
	case above, below:
		return Worse
	case rule.Floor <= rule.Margin && Deviation(*interval) <= rule.Margin:
		return Same
	}
	return Inconclusive
}

// Deviation is how far from 1 an interval of a ratio reaches, on either
// side: that of an A/A control, whose ratio is 1 but for noise, is the floor.
func Deviation(i Interval) float64 { return math.Max(i.Hi, 1/i.Lo) - 1 }

// Corrected is the level at which each of m intervals is taken, so that all
// of them hold together with the given confidence: 1 - (1-confidence)/m
// (Dunn, "Multiple Comparisons Among Means", JASA 56, 1961). Unlike Holm's
// steps it gives intervals, and a verdict here is read off an interval.
func Corrected(confidence float64, m int) float64 {
	return 1 - (1-confidence)/float64(max(m, 1))
}

// RoundsFor estimates how many rounds would bring the interval of a ratio
// within the given relative half-width, since it shrinks with the square
// root of their number; 0 when there is nothing to estimate from.
func (r Ratio) RoundsFor(confidence, halfWidth float64) int {
	i := r.Interval(confidence)
	if i == nil || halfWidth <= 0 {
		return 0
	}
	excess := math.Log(i.Hi/r.Value) / math.Log1p(halfWidth)
	return max(r.Rounds, int(min(math.Ceil(float64(r.Rounds)*excess*excess), 1e9)))
}
