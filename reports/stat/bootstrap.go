package stat

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// bootstrapSE is the bootstrap's standard error of the median: the standard
// deviation of the medians of all nⁿ samples that can be drawn from values
// with replacement. For a median it needs no random draws, since the
// probability that a given value becomes a given order statistic is known:
// Maritz and Jarrett, JASA 73, 1978; Hutson and Ernst, "The exact bootstrap
// mean and variance of an L-estimator", JRSS B 62, 2000. So a report made
// twice is the same twice, and needs no seed.
func bootstrapSE(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	var mean, square float64
	each := func(median, p float64) {
		// About the middle value, so that the squares do not cancel.
		d := median - v[len(v)/2]
		mean += p * d
		square += p * d * d
	}
	if n := len(v); n%2 == 1 {
		for i := range v {
			each(v[i], orderP(n, n/2+1, i))
		}
	} else {
		eachMiddlePair(n, func(i, j int, p float64) { each((v[i]+v[j])/2, p) })
	}
	return math.Sqrt(max(0, square-mean*mean))
}

// orderP is the probability that the k-th smallest, from 1, of n draws with
// replacement from n sorted values is the i-th of them, from 0.
func orderP(n, k, i int) float64 {
	// At least k of n draws fall among the first m: a binomial tail.
	atMost := func(m int) float64 {
		return mathext.RegIncBeta(float64(k), float64(n-k+1), float64(m)/float64(n))
	}
	return atMost(i+1) - atMost(i)
}

// eachMiddlePair gives the probability of each pair of values, i <= j, to be
// the two middle ones of n draws, n even. For i < j half of the draws fall at
// or below i, one of them on i, and half at or above j, one of them on j.
func eachMiddlePair(n int, yield func(i, j int, p float64)) {
	half := n / 2
	all, _ := math.Lgamma(float64(n + 1))
	one, _ := math.Lgamma(float64(half + 1))
	choose := all - 2*one // ln of the ways to split the draws in halves
	// ends[i]: half of the draws among the first i+1 values, one on the last.
	ends := make([]float64, n)
	power := func(m int) float64 {
		return math.Exp(choose/2 + float64(half)*math.Log(float64(m)/float64(n)))
	}
	for i := range ends {
		ends[i] = power(i+1) - power(i)
	}
	for i := range n {
		equal := orderP(n, half, i) // and of these, both middle ones on i
		for j := i + 1; j < n; j++ {
			p := ends[i] * ends[n-1-j]
			equal -= p
			yield(i, j, p)
		}
		yield(i, i, max(0, equal))
	}
}
