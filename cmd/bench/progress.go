package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"plimsoll/runner"
)

// progress shows how far a run is: one line that is drawn again and again on a
// terminal, a few plain ones elsewhere. It draws between trials only: drawing
// while one runs would disturb it.
type progress struct {
	out      io.Writer
	terminal *os.File // nil when out is none
	drawn    time.Time
	told     time.Duration // into the run, where out is no terminal
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if isTerminal(out) && os.Getenv("TERM") != "dumb" {
		p.terminal = out.(*os.File)
	}
	return p
}

const (
	redraw = 100 * time.Millisecond // a terminal: what a person can follow
	rarely = 30 * time.Second       // a log
)

func (p *progress) observe(r runner.Progress) {
	end := r.Key == runner.Key{}
	if p.terminal == nil {
		if r.Elapsed >= p.told+rarely && !end {
			p.told = r.Elapsed
			fmt.Fprintf(p.out, "bench: %d of %d trials, about %s left\n", r.Done, r.Total, about(r.Left))
		}
		return
	}
	switch {
	case end:
		fmt.Fprint(p.out, "\r\x1b[K")
	case time.Since(p.drawn) >= redraw:
		p.drawn = time.Now()
		width, _, err := term.GetSize(int(p.terminal.Fd()))
		if err != nil || width <= 0 {
			width = 80
		}
		fmt.Fprint(p.out, "\r"+progressLine(r, width-1)+"\x1b[K")
	}
}

// progressLine fits into width columns: what matters least goes first.
func progressLine(r runner.Progress, width int) string {
	const bar = 24
	done := bar * r.Done / max(1, r.Total)
	count := fmt.Sprintf("%d/%d", r.Done, r.Total)
	if r.Failures > 0 {
		count += fmt.Sprintf(", %d failed", r.Failures)
	}
	times := fmt.Sprintf("%s, about %s left", clock(r.Elapsed), clock(r.Left))
	line := count + "  " + times
	if with := strings.Repeat("█", done) + strings.Repeat("░", bar-done) + "  " + line; utf8.RuneCountInString(with) <= width {
		line = with
	}
	cell := []rune("  " + r.Key.String())
	if room := width - utf8.RuneCountInString(line); room >= len(cell) {
		line += string(cell)
	} else if room > 12 {
		line += string(cell[:room-1]) + "…"
	}
	if runes := []rune(line); len(runes) > width {
		line = string(runes[:max(0, width)])
	}
	return line
}

// clock writes a time as a clock does, "1:05".
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
