package workloads

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"gonum.org/v1/gonum/blas"
	lapack "gonum.org/v1/gonum/lapack/gonum"
)

// linpack solves a dense system of linear equations by LU decomposition with
// partial pivoting, as Dongarra's LINPACK and HPL do: flops. The matrix is
// made anew before each solve, outside the time. Gonum's BLAS runs on as many
// threads as GOMAXPROCS says.
func (j *job) linpack() error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(j.threads))
	n := j.n
	memory, err := allocate[float64](2*n*n + 2*n)
	if err != nil {
		return err
	}
	defer release(memory)
	a, memory := memory[:n*n], memory[n*n:]
	lu, memory := memory[:n*n], memory[n*n:]
	b, x := memory[:n], memory[n:2*n]
	random := rand.New(rand.NewPCG(1, 2))
	for _, v := range [][]float64{a, b} {
		for i := range v {
			v[i] = random.Float64() - 0.5
		}
	}

	pivots := make([]int, n)
	var took []time.Duration
	times, _, err := j.repeat(func() error {
		copy(lu, a)
		copy(x, b)
		start := time.Now()
		regular := lapack.Implementation{}.Dgetrf(n, n, lu, n, pivots)
		lapack.Implementation{}.Dgetrs(blas.NoTrans, n, 1, lu, n, pivots, x, 1)
		took = append(took, time.Since(start))
		if r := scaledResidual(a, x, b); !regular || !(r <= 16) {
			return fmt.Errorf("the solution is wrong: scaled residual %.3g, at most 16 is right", r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var solving time.Duration
	for _, t := range took[len(took)-times:] {
		solving += t
	}
	order := float64(n)
	work := 2.0/3.0*order*order*order + 2*order*order
	return j.rate("flops", "flop/s", work*float64(times)/solving.Seconds())
}

// scaledResidual is HPL's measure of a solution x of Ax = b, row-major:
// |Ax-b| / (eps * (|A| |x| + |b|) * n) in the infinity norm. HPL takes 16 and
// less for right (https://www.netlib.org/benchmark/hpl/algorithm.html).
func scaledResidual(a, x, b []float64) float64 {
	const epsilon = 1.0 / (1 << 53) // relative machine precision, LAPACK's dlamch('E')
	n := len(x)
	var residual, normA, normX, normB float64
	for i := range n {
		sum, row := -b[i], 0.0
		for k, v := range a[i*n : (i+1)*n] {
			sum += v * x[k]
			row += math.Abs(v)
		}
		residual = max(residual, math.Abs(sum))
		normA = max(normA, row)
		normX = max(normX, math.Abs(x[i]))
		normB = max(normB, math.Abs(b[i]))
	}
	return residual / (epsilon * (normA*normX + normB) * float64(n))
}
