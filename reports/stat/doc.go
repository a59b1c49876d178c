// Package stat judges repeated measurements of one quantity. It assumes no
// distribution: medians, order statistics and the bootstrap.
//
// The unit of repetition is the round, one execution of the whole design in
// random order. Trials of one round share whatever the host was doing at
// that time, so intervals are taken over rounds, never over single trials;
// only tails, which need the numbers, are read from trials pooled.
//
// What is doubtful comes back as warnings beside the result, as in
// golang.org/x/perf/benchmath: never as an error that stops an analysis.
package stat

// Interval is a confidence interval. Confidence is its level, from 0 to 1;
// that of an interval made of order statistics is at least the level asked for.
type Interval struct {
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
	Confidence float64 `json:"confidence"`
}

// MinRounds is the least number of values from which the smallest and the
// largest enclose the median with 95% confidence: 1 - 2·0.5⁶ = 0.969.
const MinRounds = 6

// Confidence is the level of every interval that is not corrected for
// multiple comparisons.
const Confidence = 0.95
