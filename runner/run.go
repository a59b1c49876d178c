package runner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Progress is where a run stands. It is reported before every trial, and once
// more at the end.
type Progress struct {
	Done, Total int // trials
	Failures    int
	Key         Key           // the cell about to run; zero at the end
	Elapsed     time.Duration // since this program took up the run
	Left        time.Duration // learned from the trials already run, the plan's estimate before
}

// Run carries out the trials of a plan that are not in done, in order,
// appends each to the journal as it ends, and closes the journal. Before each
// trial it waits for the profile's gap. The context that the executor gets
// ends after the profile's timeout, which makes the trial a failed one.
// observe may be nil; it is called from the goroutine of Run, between trials.
//
// When ctx ends, the trial under way is dropped unless it succeeded, the
// journal is closed as interrupted, and the error is ctx's cause. An
// executor's error ends the run likewise: what was measured before is kept.
func Run(ctx context.Context, p Plan, done map[int]bool, ex Executor, w *Writer, observe func(Progress)) (Result, error) {
	if observe == nil {
		observe = func(Progress) {}
	}
	start := time.Now()
	pace := newPace(p, done)
	report := func(k Key) {
		r := w.Result()
		observe(Progress{Done: r.Trials, Total: len(p.Trials), Failures: r.Failures, Key: k, Elapsed: time.Since(start), Left: pace.left()})
	}
	err := runAll(ctx, p, done, ex, w, pace, report)
	status := "complete"
	if err != nil {
		status = "interrupted"
	}
	report(Key{})
	return w.Result(), errors.Join(err, w.Close(status))
}

func runAll(ctx context.Context, p Plan, done map[int]bool, ex Executor, w *Writer, pace *pace, report func(Key)) error {
	for _, t := range p.Trials {
		if done[t.ID] {
			continue
		}
		report(t.Key)
		began := time.Now()
		if err := wait(ctx, p.Profile.Gap); err != nil {
			return err
		}
		if err := runTrial(ctx, p.Profile.Timeout, t, ex, w); err != nil {
			return err
		}
		pace.took(t.Key, time.Since(began))
	}
	return nil
}

// runTrial carries out one trial and writes it down.
func runTrial(ctx context.Context, timeout time.Duration, t Trial, ex Executor, w *Writer) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := ex.Run(limited, t)
	switch {
	case ctx.Err() != nil && (err != nil || out.Failure != nil):
		return context.Cause(ctx) // it failed because it was cut short
	case errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil:
		out.Failure = &Failure{Op: "wait for the trial to end", Error: fmt.Sprintf("took longer than the profile's timeout, %s", timeout)}
	case err != nil:
		return fmt.Errorf("trial %d, %s: %w", t.ID, t.Key, err)
	}
	return w.Trial(t, out, began)
}

// wait sleeps, unless ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // select picks at random where both are ready
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
