package stat

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Pair holds one round's medians of a cell and of its baseline.
type Pair struct{ Value, Base float64 }

// PairRounds pairs the values of two cells by round, in order of rounds.
// Rounds that only one of the two has are left out.
func PairRounds(value, base map[int][]float64) []Pair {
	var pairs []Pair
	for _, round := range slices.Sorted(maps.Keys(value)) {
		if len(value[round]) > 0 && len(base[round]) > 0 {
			pairs = append(pairs, Pair{Median(value[round]), Median(base[round])})
		}
	}
	return pairs
}

// RoundMedians gives the median of each round, in order of rounds.
func RoundMedians(rounds map[int][]float64) []float64 {
	var medians []float64
	for _, round := range slices.Sorted(maps.Keys(rounds)) {
		if len(rounds[round]) > 0 {
			medians = append(medians, Median(rounds[round]))
		}
	}
	return medians
}

// Ratio compares a cell with its baseline: the median of the rounds' own
// ratios. A host that is slower for a while slows both members of a pair, so
// drift cancels, as it would not in the ratio of two medians.
type Ratio struct {
	Rounds   int      `json:"rounds"`
	Value    float64  `json:"value"`  // 0 when no ratio can be taken: see Warnings
	LogSE    float64  `json:"log_se"` // bootstrap standard error of ln Value
	Warnings []string `json:"warnings,omitempty"`
}

// RatioOf takes the ratio of paired rounds.
func RatioOf(pairs []Pair) Ratio {
	r := Ratio{Rounds: len(pairs)}
	if len(pairs) == 0 {
		r.Warnings = append(r.Warnings, "no round has both the cell and its baseline")
		return r
	}
	logs := make([]float64, len(pairs))
	for i, p := range pairs {
		if p.Value <= 0 || p.Base <= 0 {
			r.Warnings = append(r.Warnings, "a value that is not positive has no ratio")
			return r
		}
		logs[i] = math.Log(p.Value) - math.Log(p.Base)
	}
	r.Value = math.Exp(Median(logs))
	if len(pairs) < MinRounds {
		r.Warnings = append(r.Warnings, fmt.Sprintf("need >= %d rounds for a confidence interval, there are %d", MinRounds, len(pairs)))
		return r
	}
	r.LogSE = bootstrapSE(logs)
	return r
}

// Interval of the ratio at a confidence level; nil with fewer rounds than
// MinRounds, or when it would be infinite. It is Value ·/ exp(t·LogSE), t being Student's with Rounds-1
// degrees of freedom (Efron and Tibshirani 1993, 12.3; Hesterberg, "What
// Teachers Should Know About the Bootstrap", The American Statistician 69,
// 2015). The percentile bootstrap of so few rounds covers too rarely (91 to
// 94% where 95% was asked, with 6 to 20 rounds, where this one covered 95 to
// 98%), and at the levels that a correction asks for it ends at the extremes.
func (r Ratio) Interval(confidence float64) *Interval {
	if r.Value <= 0 || r.Rounds < MinRounds {
		return nil
	}
	student := distuv.StudentsT{Sigma: 1, Nu: float64(r.Rounds - 1)}
	factor := math.Exp(student.Quantile((1+confidence)/2) * r.LogSE)
	i := Interval{r.Value / factor, r.Value * factor, confidence}
	if i.Lo == 0 || math.IsInf(i.Hi, 1) {
		return nil // beyond what a float holds, and beyond use
	}
	return &i
}
