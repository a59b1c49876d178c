package stat

import (
	"math"
	"slices"

	"github.com/montanaflynn/stats"
	"golang.org/x/perf/benchmath"
)

// Summary describes values by their order statistics, in their own unit.
type Summary struct {
	N        int       `json:"n"`
	Median   float64   `json:"median"`
	Interval *Interval `json:"interval,omitempty"` // of the median; nil when N < MinRounds
	Warnings []string  `json:"warnings,omitempty"` // why there is no interval
}

// Summarize gives the median of values and its confidence interval from the
// binomial distribution of ranks (Hahn and Meeker, Statistical Intervals,
// 1991, 5.2). It panics when there are no values.
func Summarize(values []float64, confidence float64) Summary {
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	b := benchmath.AssumeNothing.Summary(sample, confidence)
	s := Summary{N: len(values), Median: b.Center}
	if !math.IsInf(b.Lo, 0) && !math.IsInf(b.Hi, 0) {
		s.Interval = &Interval{b.Lo, b.Hi, b.Confidence}
	}
	for _, w := range b.Warnings {
		s.Warnings = append(s.Warnings, w.Error())
	}
	return s
}

// Spread is the five numbers that a box plot shows.
type Spread struct {
	Min    float64 `json:"min"`
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
	Max    float64 `json:"max"`
}

// SpreadOf gives the extremes and the quartiles. It panics when there are no
// values.
func SpreadOf(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	s := Spread{Min: v[0], Q1: v[0], Median: v[0], Q3: v[0], Max: v[len(v)-1]}
	if len(v) > 1 { // stats.Quartile leaves a single value without quarters
		q, err := stats.Quartile(v)
		if err != nil {
			panic(err) // only for no values
		}
		s.Q1, s.Median, s.Q3 = q.Q1, q.Q2, q.Q3
	}
	return s
}

// Median of values; it panics when there are none.
func Median(values []float64) float64 {
	m, err := stats.Median(values)
	if err != nil {
		panic(err)
	}
	return m
}

// Tail is a quantile far from the median.
type Tail struct {
	P     float64 `json:"p"`    // 0.95, 0.99, 0.999
	N     int     `json:"n"`    // values there are
	Need  int     `json:"need"` // least number of values
	Value float64 `json:"value,omitempty"`
}

// Enough reports whether there are values enough for the quantile; if not,
// Value says nothing.
func (t Tail) Enough() bool { return t.N >= t.Need }

// TailOf gives the quantile p as an observed value, by nearest rank.
func TailOf(values []float64, p float64) Tail {
	t := Tail{P: p, N: len(values), Need: TailNeeds(p)}
	if t.Enough() {
		v, err := stats.PercentileNearestRank(values, 100*p)
		if err != nil {
			panic(err) // only for no values, or p outside 0 to 1
		}
		t.Value = v
	}
	return t
}

// TailNeeds is the least number of values of which the largest is beyond the
// quantile p with 95% confidence, 1 - pⁿ >= 0.95 (Wilks, Annals of
// Mathematical Statistics 12, 1941): 59 for p95, 299 for p99, 2,995 for
// p99.9. With fewer the tail may not have been seen at all.
func TailNeeds(p float64) int {
	return int(math.Ceil(math.Log(1-Confidence) / math.Log(p)))
}
