package runner

// Result sums up a run, what was done before it was resumed included.
type Result struct {
	Planned    int // trials
	Trials     int // carried out, failed ones included
	Failures   int // trials that failed
	Samples    int
	Skips      int // cells
	NamedSkips int // of those that the user named
}

func (r *Result) skips(skips []Skip) {
	r.Skips = len(skips)
	for _, s := range skips {
		if s.Named {
			r.NamedSkips++
		}
	}
}

// ExitStatus is the exit status of a run: 0 when every trial succeeded, 1
// when one failed, 3 when a cell that the user named could not run, nothing
// was measured, or the run was cut short. 4, untrusted, is for those who
// judge the samples.
func (r Result) ExitStatus() int {
	switch {
	case r.Failures > 0:
		return 1
	case r.NamedSkips > 0, r.Samples == 0, r.Trials < r.Planned:
		return 3
	}
	return 0
}
