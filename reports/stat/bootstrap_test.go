package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Every sample that can be drawn from a few values, one by one, is the
// definition that the closed form must agree with.
func TestBootstrapSEExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	for n := 1; n <= 6; n++ {
		values := make([]float64, n)
		for i := range values {
			values[i] = rng.NormFloat64()
		}
		var medians []float64
		for draw := range int(math.Pow(float64(n), float64(n))) {
			sample := make([]float64, n)
			for i := range sample {
				sample[i] = values[draw%n]
				draw /= n
			}
			medians = append(medians, Median(sample))
		}
		want := standardDeviation(medians)
		if got := bootstrapSE(values); math.Abs(got-want) > 1e-12 {
			t.Errorf("n=%d: %v, want %v", n, got, want)
		}
	}
}

// Of more values a random part of the samples must come near it.
func TestBootstrapSERandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for _, n := range []int{21, 40} {
		values, medians := make([]float64, n), make([]float64, 20000)
		for i := range values {
			values[i] = rng.ExpFloat64()
		}
		for k := range medians {
			sample := make([]float64, n)
			for i := range sample {
				sample[i] = values[rng.IntN(n)]
			}
			medians[k] = Median(sample)
		}
		want := standardDeviation(medians) // good to 0.5%, 1/√(2·20000)
		if got := bootstrapSE(values); math.Abs(got/want-1) > 0.02 {
			t.Errorf("n=%d: %v, want about %v", n, got, want)
		}
	}
}

func TestBootstrapSELarge(t *testing.T) {
	for _, n := range []int{999, 1000} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i)
		}
		// The median of n uniform values has a standard deviation of range/(2√n).
		want := math.Sqrt(float64(n)) / 2
		if got := bootstrapSE(values); math.Abs(got/want-1) > 0.02 {
			t.Errorf("n=%d: %v, want about %v", n, got, want)
		}
	}
}

func standardDeviation(values []float64) float64 {
	slices.Sort(values)
	var mean, square float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		square += (v - mean) * (v - mean) / float64(len(values))
	}
	return math.Sqrt(square)
}
