//go:build !amd64 && !arm64

package stream

func copyKernel(c, a []float64) { copy(c, a) }

func scaleKernel(b, c []float64, s float64) {
	for i, x := range c {
		b[i] = s * x
	}
}

func addKernel(c, a, b []float64) {
	for i, x := range a {
		c[i] = x + b[i]
	}
}

func triadKernel(a, b, c []float64, s float64) {
	for i, x := range b {
		a[i] = x + s*c[i]
	}
}
