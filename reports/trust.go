package reports

import (
	"fmt"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// Trust tells how quiet the host was while trials ran. A host that was not
// makes figures untrusted: they are shown, and so is this.
type Trust struct {
	Trusted      bool          `json:"trusted"` // no disturbance was above its limit
	Disturbances []Disturbance `json:"disturbances"`
}

// Disturbance is one measure of what others did to the host.
type Disturbance struct {
	Name   string  `json:"name"`   // as in a trial's record: "steal", "psi_cpu", ...
	Limit  float64 `json:"limit"`  // the median above this is too much
	Median float64 `json:"median"` // fraction of time, 0 to 1, over the trials
	Max    float64 `json:"max"`
	Trials int     `json:"trials"` // that tell
	Over   int     `json:"over"`   // of these, above Limit
	What   string  `json:"what"`
	Fix    string  `json:"fix"`
}

// Exceeded reports whether the measure makes figures untrusted.
func (d Disturbance) Exceeded() bool { return d.Median > d.Limit }

func (d Disturbance) String() string {
	return fmt.Sprintf("%s was %s in the median trial, above %s", d.What, percent(d.Median), percent(d.Limit))
}

// Reasons lists what was exceeded.
func (t Trust) Reasons() []Disturbance {
	var all []Disturbance
	for _, d := range t.Disturbances {
		if d.Exceeded() {
			all = append(all, d)
		}
	}
	return all
}

// disturbances are what is looked at, and how much of it is too much. Two per
// cent is the margin of the verdicts. The pressures are of wall time in which
// any task waited (Documentation/accounting/psi.rst, "some").
var disturbances = []Disturbance{
	{Name: "steal", Limit: 0.02, What: "CPU time taken by the hypervisor (steal)",
		Fix: "measure on a dedicated host, or when the neighbours are quiet"},
	{Name: "psi_cpu", Limit: 0.20, What: "time in which tasks waited for a CPU (PSI)",
		Fix: "stop what else runs on the host"},
	{Name: "psi_memory", Limit: 0.05, What: "time in which tasks waited for memory (PSI)",
		Fix: "free memory, or choose smaller workloads"},
	{Name: "psi_io", Limit: 0.20, What: "time in which tasks waited for storage (PSI)",
		Fix: "stop what else uses the storage"},
}

// trustOf judges by the medians over the trials: one busy moment in a long
// run does no harm to medians, a busy host does.
func trustOf(trials []runner.TrialRecord) Trust {
	t := Trust{Trusted: true, Disturbances: []Disturbance{}}
	for _, d := range disturbances {
		var values []float64
		for _, trial := range trials {
			if v, ok := trial.Host[d.Name]; ok && v >= 0 && v <= 1 && (d.Name == "steal" || !pressesItself(trial.Key)) {
				values = append(values, v)
				if v > d.Limit {
					d.Over++
				}
			}
		}
		if d.Trials = len(values); d.Trials > 0 {
			s := stat.SpreadOf(values)
			d.Median, d.Max = s.Median, s.Max
			t.Disturbances = append(t.Disturbances, d)
			t.Trusted = t.Trusted && !d.Exceeded()
		}
	}
	return t
}

// pressesItself reports whether a cell makes pressure by design, so that
// pressure says nothing about others: a fleet, a limit, a neighbour, storage.
func pressesItself(k runner.Key) bool {
	k = k.WithDefaults()
	return k.Fleet > 1 || k.Limits != "none" || k.Neighbour != "none" || k.Workload == "io"
}
