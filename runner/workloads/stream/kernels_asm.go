//go:build amd64 || arm64

package stream

//go:noescape
func copyKernel(c, a []float64)

//go:noescape
func scaleKernel(b, c []float64, s float64)

//go:noescape
func addKernel(c, a, b []float64)

//go:noescape
func triadKernel(a, b, c []float64, s float64)
