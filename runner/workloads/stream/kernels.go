// Package stream holds the four loops of McCalpin's STREAM benchmark over
// float64 arrays (https://www.cs.virginia.edu/stream/), in assembly for amd64
// and arm64: Go's compiler makes scalar loops with checked bounds, which fall
// short of what C does on the same memory.
package stream

// Copy sets c[i] = a[i]. STREAM counts 16 bytes for each element.
func Copy(c, a []float64) {
	mustMatch(len(c), len(a), len(a))
	copyKernel(c, a)
}

// Scale sets b[i] = s*c[i]. STREAM counts 16 bytes for each element.
func Scale(b, c []float64, s float64) {
	mustMatch(len(b), len(c), len(c))
	scaleKernel(b, c, s)
}

// Add sets c[i] = a[i] + b[i]. STREAM counts 24 bytes for each element.
func Add(c, a, b []float64) {
	mustMatch(len(c), len(a), len(b))
	addKernel(c, a, b)
}

// Triad sets a[i] = b[i] + s*c[i]. STREAM counts 24 bytes for each element.
func Triad(a, b, c []float64, s float64) {
	mustMatch(len(a), len(b), len(c))
	triadKernel(a, b, c, s)
}

func mustMatch(x, y, z int) {
	if x != y || y != z {
		panic("stream: arrays of unequal length")
	}
}
