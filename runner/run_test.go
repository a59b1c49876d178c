package runner

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// One whole run on the fake clock: the journal is the golden file.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, p := t.TempDir(), smallPlan(t)
		w := create(t, dir, p)
		if err := errors.Join(
			w.Warn("governor", "the governor is powersave: <set> performance"),
			w.Calibrate(Calibration{Host: "vm", Metric: "clock_read", Unit: "s", Values: []float64{3e-8}}),
		); err != nil {
			t.Fatal(err)
		}
		ex := &fake{takes: 30 * time.Millisecond, then: func(_ context.Context, t Trial) (Outcome, error) {
			o := measured(t)
			if t.ID == 2 {
				o = Outcome{Failure: &Failure{Op: "mount overlay", Error: "EINVAL"}}
			}
			if t.ID == 3 {
				o.Warnings = []Warning{{Code: "steal", Text: "wait for a quiet hour"}}
			}
			return o, nil
		}}
		var seen []Progress
		r, err := Run(t.Context(), p, nil, ex, w, func(p Progress) { seen = append(seen, p) })
		if err != nil {
			t.Fatal(err)
		}
		want := Result{Planned: 6, Trials: 6, Failures: 1, Samples: 10, Skips: 1, NamedSkips: 1}
		if r != want {
			t.Errorf("result %+v, want %+v", r, want)
		}
		for i, at := range ex.at {
			if since := at.Sub(header.Started); since != time.Duration(i)*50*time.Millisecond+20*time.Millisecond {
				t.Errorf("trial %d began after %s: the gap is 20ms and a trial takes 30ms", i, since)
			}
		}
		if n := len(seen); n != 7 || seen[0].Done != 0 || seen[0].Left != p.Estimate || seen[0].Key != p.Trials[0].Key {
			t.Errorf("progress begins with %+v of %d", seen[0], n)
		}
		// After three trials of 50 ms: three more.
		if got := seen[3]; got.Done != 3 || got.Failures != 1 || got.Elapsed != 150*time.Millisecond || (got.Left-150*time.Millisecond).Abs() > time.Millisecond {
			t.Errorf("progress after three trials: %+v", got)
		}
		if got := seen[6]; got.Done != 6 || got.Left != 0 || got.Key != (Key{}) {
			t.Errorf("progress at the end: %+v", got)
		}
		b, err := os.ReadFile(filepath.Join(dir, JournalName))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/journal.golden", string(b))
		j, err := ReadJournal(dir)
		if err != nil || j.Result() != r || len(j.Notes) != 0 {
			t.Errorf("read back: %+v, notes %v, %v", j.Result(), j.Notes, err)
		}
	})
}

func TestRunInterrupted(t *testing.T) {
	stop := errors.New("stopped by hand")
	for _, c := range []struct {
		name   string
		after  time.Duration // of 20 ms of gap and 30 ms of trial, over and over
		trials int
	}{
		{"at once", 0, 0},
		{"in a gap", 60 * time.Millisecond, 1},
		{"in a trial", 80 * time.Millisecond, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, p := t.TempDir(), smallPlan(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				if c.after == 0 {
					cancel(stop)
				}
				time.AfterFunc(c.after, func() { cancel(stop) })
				ex := &fake{takes: 30 * time.Millisecond}
				r, err := Run(ctx, p, nil, ex, create(t, dir, p), nil)
				if !errors.Is(err, stop) || r.Trials != c.trials || r.ExitStatus() != 3 {
					t.Errorf("%+v, %v; want %d trials", r, err, c.trials)
				}
				j, err := ReadJournal(dir)
				if err != nil || j.Footer == nil || j.Footer.Status != "interrupted" || len(j.Trials) != c.trials {
					t.Errorf("journal: %+v, %v", j, err)
				}
			})
		})
	}
}

func TestRunTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, p := t.TempDir(), smallPlan(t)
		p.Profile.Timeout = time.Second
		r, err := Run(t.Context(), p, nil, &fake{takes: time.Hour}, create(t, dir, p), nil)
		if err != nil || r.Failures != 6 || r.ExitStatus() != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		j, err := ReadJournal(dir)
		if err != nil || len(j.Failures) != 6 || j.Failures[0].Error != "took longer than the profile's timeout, 1s" {
			t.Errorf("%+v, %v", j.Failures, err)
		}
	})
}

func TestRunExecutorError(t *testing.T) {
	dir, p := t.TempDir(), smallPlan(t)
	p.Profile.Gap = 0
	broken := errors.New("the work directory is gone")
	ex := &fake{then: func(_ context.Context, t Trial) (Outcome, error) {
		if t.ID == 2 {
			return Outcome{}, broken
		}
		return measured(t), nil
	}}
	r, err := Run(t.Context(), p, nil, ex, create(t, dir, p), nil)
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "trial 2, startup/") || r.Trials != 2 || r.Samples != 4 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSampleThatIsNoNumber(t *testing.T) {
	dir, p := t.TempDir(), smallPlan(t)
	w := create(t, dir, p)
	o := Outcome{Samples: []Sample{{Metric: "flops", Value: math.NaN()}, {Metric: "integer", Value: 1}}}
	if err := w.Trial(p.Trials[0], o, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close("interrupted"); err != nil {
		t.Fatal(err)
	}
	j, err := ReadJournal(dir)
	if err != nil || len(j.Samples) != 1 || len(j.Failures) != 1 || j.Failures[0].Op != "measure flops" {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		r    Result
		want int
	}{
		{Result{Planned: 2, Trials: 2, Samples: 4}, 0},
		{Result{Planned: 2, Trials: 2, Samples: 4, Skips: 1}, 0},
		{Result{Planned: 2, Trials: 2, Samples: 2, Failures: 1}, 1},
		{Result{Planned: 2, Trials: 2, Samples: 4, Skips: 1, NamedSkips: 1}, 3},
		{Result{Planned: 2, Trials: 1, Samples: 4}, 3},
		{Result{}, 3},
	} {
		if got := c.r.ExitStatus(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.r, got, c.want)
		}
	}
}
