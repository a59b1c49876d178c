package runner

import (
	"context"
	"testing"
	"time"

	"plimsoll/profiles"
)

// fake carries out trials in its imagination: each takes a while on a fake
// clock and gives two samples.
type fake struct {
	takes time.Duration
	ran   []Trial
	at    []time.Time
	then  func(ctx context.Context, t Trial) (Outcome, error) // where set, what comes of a trial
}

func (f *fake) Run(ctx context.Context, t Trial) (Outcome, error) {
	f.ran = append(f.ran, t)
	f.at = append(f.at, time.Now())
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
	if f.then != nil {
		return f.then(ctx, t)
	}
	return measured(t), nil
}

func measured(t Trial) Outcome {
	return Outcome{
		Samples: []Sample{
			{Metric: "start_to_ready", Unit: "s", Better: Lower, Value: 0.001 * float64(t.ID+1)},
			{Metric: "start_to_exit", Unit: "s", Better: Lower, Value: 0.002 * float64(t.ID+1)},
		},
		Host: map[string]float64{"steal": 0.25},
	}
}

var header = Header{
	Run: "r1", Tool: Tool{Name: "bench", Version: "v0", Hash: "abc"}, Command: []string{"bench", "run"},
	Started: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	Hosts:   []HostInfo{{Name: "vm", Fingerprint: "f", Facts: map[string]string{"kernel.boot_id": "b1"}}},
}

const small = "rounds: 2\nfactors: {runtime: [bare, isolate, crun]}\n"

func smallPlan(t *testing.T) Plan {
	h := vm
	h.Lacks = []Lack{{profiles.Exclusion{Runtime: []string{"crun"}}, "crun: not found in PATH", "apt-get install crun"}}
	return mustPlan(t, small, h)
}

func create(t *testing.T, dir string, p Plan) *Writer {
	t.Helper()
	w, err := CreateJournal(dir, header, p)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
