package stream

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The kernels do what plain Go loops do, bit for bit, whatever the length and
// wherever the arrays begin; and they write nowhere else.
func TestKernels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 70).Draw(t, "n")
		s := rapid.Float64().Draw(t, "s")
		x, y := array(t, "x", n), array(t, "y", n)
		for _, kernel := range []struct {
			name string
			run  func(dst []float64)
			want func(i int) float64
		}{
			{"copy", func(dst []float64) { Copy(dst, x) }, func(i int) float64 { return x[i] }},
			{"scale", func(dst []float64) { Scale(dst, x, s) }, func(i int) float64 { return s * x[i] }},
			{"add", func(dst []float64) { Add(dst, x, y) }, func(i int) float64 { return x[i] + y[i] }},
			// Where the compiler may fuse, it does, and so do the kernels.
			{"triad", func(dst []float64) { Triad(dst, x, y, s) }, func(i int) float64 { return x[i] + s*y[i] }},
		} {
			const guard = 9
			offset := rapid.IntRange(0, 8).Draw(t, "offset of the result")
			buffer := make([]float64, offset+n+guard)
			for i := range buffer {
				buffer[i] = math.Pi
			}
			kernel.run(buffer[offset : offset+n])
			for i, got := range buffer {
				want := math.Pi
				if i >= offset && i < offset+n {
					want = kernel.want(i - offset)
				}
				if math.Float64bits(got) != math.Float64bits(want) && !(math.IsNaN(got) && math.IsNaN(want)) {
					t.Fatalf("%s of %d: element %d is %v, want %v", kernel.name, n, i-offset, got, want)
				}
			}
		}
	})
}

// array draws n numbers that begin at a random offset of their allocation.
func array(t *rapid.T, name string, n int) []float64 {
	offset := rapid.IntRange(0, 8).Draw(t, "offset of "+name)
	all := rapid.SliceOfN(rapid.Float64(), offset+n, offset+n).Draw(t, name)
	return all[offset:]
}

func TestUnequalLengths(t *testing.T) {
	x, y := make([]float64, 8), make([]float64, 9)
	for i, f := range []func(){
		func() { Copy(x, y) },
		func() { Scale(x, y, 1) },
		func() { Add(x, x, y) },
		func() { Add(x, y, x) },
		func() { Triad(y, x, x, 1) },
	} {
		if message := recovered(f); message != "stream: arrays of unequal length" {
			t.Errorf("call %d: panic %v", i, message)
		}
	}
}

func recovered(f func()) (message any) {
	defer func() { message = recover() }()
	f()
	return nil
}

func BenchmarkTriad(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 22} {
		x, y, z := make([]float64, n), make([]float64, n), make([]float64, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(24 * int64(n))
			for b.Loop() {
				Triad(x, y, z, 3)
			}
		})
	}
}
