package main

import (
	"bytes"
	"testing"
	"time"
	"unicode/utf8"

	"plimsoll/runner"
)

func TestProgressLine(t *testing.T) {
	r := runner.Progress{
		Done: 90, Total: 360, Elapsed: 20 * time.Second, Left: 65 * time.Second,
		Key: runner.Key{Workload: "startup", Runtime: "isolate", Limits: "small"},
	}
	for _, l := range []struct {
		width int
		want  string
	}{
		{100, "██████░░░░░░░░░░░░░░░░░░  90/360  0:20, about 1:05 left  startup/isolate limits=small"},
		{72, "██████░░░░░░░░░░░░░░░░░░  90/360  0:20, about 1:05 left  startup/isolat…"},
		{60, "██████░░░░░░░░░░░░░░░░░░  90/360  0:20, about 1:05 left"},
		{40, "90/360  0:20, about 1:05 left"},
		{10, "90/360  0:"},
	} {
		if got := progressLine(r, l.width); got != l.want {
			t.Errorf("width %d:\n%q, want\n%q", l.width, got, l.want)
		}
	}
	r.Failures = 2
	if got, want := progressLine(r, 50), "90/360, 2 failed  0:20, about 1:05 left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for width := range 200 {
		if got := utf8.RuneCountInString(progressLine(r, width)); got > width {
			t.Errorf("width %d: %d columns", width, got)
		}
	}
	progressLine(runner.Progress{}, 80) // of a plan without trials
}

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", 59600 * time.Millisecond: "1:00", 65 * time.Second: "1:05", time.Hour + 65*time.Second: "1:01:05",
	} {
		if got := clock(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// TestProgressInLog: where there is no terminal, a line now and then.
func TestProgressInLog(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	for s := range 100 {
		p.observe(runner.Progress{
			Done: s, Total: 100, Elapsed: time.Duration(s) * time.Second, Left: time.Duration(100-s) * time.Second,
			Key: runner.Key{Workload: "cpu"},
		})
	}
	p.observe(runner.Progress{Done: 100, Total: 100, Elapsed: 100 * time.Second})
	want := `bench: 30 of 100 trials, about 1m10s left
bench: 60 of 100 trials, about 40s left
bench: 90 of 100 trials, about 10s left
`
	if out.String() != want {
		t.Errorf("%s, want\n%s", &out, want)
	}
}
