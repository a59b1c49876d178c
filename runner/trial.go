package runner

import "context"

// Trial is one execution of a cell, with everything fresh.
type Trial struct {
	ID    int `json:"trial"` // position in the plan, from 0
	Round int `json:"round"` // from 0
	Key   Key `json:"key"`
}

// Outcome is what came of a trial. Samples need no Kind, Key, Round, Trial
// or T: the journal writer fills them in.
type Outcome struct {
	Samples  []Sample
	Failure  *Failure // nil when the trial was carried out
	Warnings []Warning
	Host     map[string]float64 // steal, load, PSI and throttling while it ran
}

// Executor carries out trials, one at a time. An error means that nothing
// further can be run; what went wrong with one trial is in its Outcome.
type Executor interface {
	Run(ctx context.Context, t Trial) (Outcome, error)
}
