/* A STREAM of our own writing, the yardstick of the Go kernels: the same four
 * loops over static arrays, the same check, best of the repetitions.
 *
 *   gcc -O2 -fopenmp -DN=16777216 -o stream stream.c
 *   OMP_NUM_THREADS=2 ./stream REPETITIONS      copy scale add triad, B/s
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifndef N
#define N 16777216
#endif

static double a[N], b[N], c[N];

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main(int argc, char **argv)
{
	int reps = argc > 1 ? atoi(argv[1]) : 10;
	double best[4] = {1e9, 1e9, 1e9, 1e9}, s = 3.0;
	static const double words[4] = {2, 2, 3, 3};

#pragma omp parallel for
	for (long i = 0; i < N; i++) {
		a[i] = 1.0;
		b[i] = 2.0;
		c[i] = 0.0;
	}
	for (int k = 0; k < reps; k++) {
		double t[5];
		t[0] = now();
#pragma omp parallel for
		for (long i = 0; i < N; i++)
			c[i] = a[i];
		t[1] = now();
#pragma omp parallel for
		for (long i = 0; i < N; i++)
			b[i] = s * c[i];
		t[2] = now();
#pragma omp parallel for
		for (long i = 0; i < N; i++)
			c[i] = a[i] + b[i];
		t[3] = now();
#pragma omp parallel for
		for (long i = 0; i < N; i++)
			a[i] = b[i] + s * c[i];
		t[4] = now();
		for (int j = 0; k > 0 && j < 4; j++)
			if (t[j + 1] - t[j] < best[j])
				best[j] = t[j + 1] - t[j];
	}

	double va = 1, vb = 2, vc = 0;
	for (int k = 0; k < reps; k++) {
		vc = va;
		vb = s * vc;
		vc = va + vb;
		va = vb + s * vc;
	}
	for (long i = 0; i < N; i++)
		if (fabs(a[i] / va - 1) > 1e-13 || fabs(b[i] / vb - 1) > 1e-13 || fabs(c[i] / vc - 1) > 1e-13) {
			fprintf(stderr, "wrong result at %ld\n", i);
			return 1;
		}
	for (int j = 0; j < 4; j++)
		printf("%.6g%c", words[j] * sizeof(double) * N / best[j], j < 3 ? ' ' : '\n');
	return 0;
}
