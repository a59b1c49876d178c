package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// shownBreakdowns leaves out all but the plainest cell of each runtime: a
// terminal is no place for a table of every rung and fleet.
func (t *textWriter) shownBreakdowns(all []Breakdown) []Breakdown {
	var shown []Breakdown
	for _, b := range all {
		i := slices.IndexFunc(shown, func(o Breakdown) bool { return o.Key.Runtime == b.Key.Runtime })
		switch {
		case i < 0:
			shown = append(shown, b)
		case len(levels(b.Key)) < len(levels(shown[i].Key)):
			shown[i] = b
		}
	}
	return shown
}

func (t *textWriter) breakdown(w Workload, b Breakdown) {
	t.section(fmt.Sprintf("%s of %s, by operation: %s", w.Name, b.Label, b.account()))
	top, rest, n := b.largest(8)
	if n > 0 {
		top = append(top, Operation{Name: fmt.Sprintf("%d more", n), Median: rest, Share: rest / b.Sum})
	}
	longest := 0.0
	for _, o := range top {
		longest = max(longest, o.Share)
	}
	var rows []table.Row
	for _, o := range top {
		rows = append(rows, table.Row{printable(o.Name), quantityText(o.Median, "s"), percent(o.Share), bar(o.Share/max(longest, 1e-9), 40)})
	}
	t.table(rows, text.AlignRight, text.AlignRight, text.AlignLeft)
}

// account holds the sum of the operations against the whole, when known.
func (b Breakdown) account() string {
	s := fmt.Sprintf("%s add up to %s", counted(len(b.Operations), "median"), quantityText(b.Sum, "s"))
	if b.Whole > 0 {
		s += " of " + quantityText(b.Whole, "s") + " from start to exit"
	}
	return s
}

// largest gives the n operations that cost most, the largest first, and what
// the others come to.
func (b Breakdown) largest(n int) (top []Operation, rest float64, others int) {
	top = slices.SortedStableFunc(slices.Values(b.Operations), func(x, y Operation) int {
		switch {
		case x.Median > y.Median:
			return -1
		case x.Median < y.Median:
			return 1
		}
		return 0
	})
	if len(top) <= n+1 { // one more line says more than "1 more"
		return top, 0, 0
	}
	for _, o := range top[n:] {
		rest += max(0, o.Median)
	}
	return top[:n], rest, len(top) - n
}

// bar draws a fraction of width columns, in eighths.
func bar(fraction float64, width int) string {
	eighths := int(math.Round(min(max(fraction, 0), 1) * float64(width) * 8))
	s := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		s += string(rune('█' + 8 - part))
	}
	if s == "" && fraction > 0 {
		return "▏"
	}
	return s
}

// beside lines runs up, as many at a time as the width has room for.
func (t *textWriter) beside(r Report) {
	const atOnce = 3
	t.line(t.bold(counted(len(r.Runs), "run")+", side by side") + "   median, and ratio to the run's own bare process")
	for i, run := range r.Runs {
		t.wrapped(fmt.Sprintf("  %d  ", i+1), "     ", run.Label)
	}
	for _, n := range r.Notes {
		t.wrapped("  ! ", "    ", n)
	}
	for from := 0; from < len(r.Runs); from += atOnce {
		to := min(from+atOnce, len(r.Runs))
		head := table.Row{""}
		var aligns []text.Align
		for i := from; i < to; i++ {
			head = append(head, t.dim(fmt.Sprint(i+1)), "")
			aligns = append(aligns, text.AlignRight, text.AlignRight)
		}
		rows := []table.Row{head}
		last := ""
		for _, b := range r.Beside {
			if name := b.Workload + " " + b.Metric; name != last {
				last = name
				heading := make(table.Row, len(head))
				heading[0] = printable(name)
				for i := range heading[1:] {
					heading[i+1] = ""
				}
				rows = append(rows, heading)
			}
			row := table.Row{"  " + printable(b.Label)}
			for _, f := range b.Figures[from:to] {
				row = append(row, f.median(b.Unit), f.ratio())
			}
			rows = append(rows, row)
		}
		t.line("")
		t.table(rows, aligns...)
	}
}

func (f *Figure) median(unit string) string {
	if f == nil {
		return "–"
	}
	return quantityText(f.Median, unit)
}

func (f *Figure) ratio() string {
	if f == nil || f.Ratio <= 0 {
		return ""
	}
	text := ratioText(f.Ratio)
	if f.Untrusted {
		text += " (?)"
	}
	return text
}

// tails shows the quantiles of the cells that have values enough for one, and
// no column that none has.
func (t *textWriter) tails(run Run) {
	shown := 0
	for _, w := range run.Workloads {
		shown = max(shown, w.tails())
	}
	if shown == 0 {
		return
	}
	head := table.Row{"", t.dim("n"), t.dim("p95"), t.dim("p99"), t.dim("p99.9")}[:2+shown]
	rows := []table.Row{head}
	for _, w := range run.Workloads {
		for _, m := range w.Metrics {
			for _, row := range m.Rows {
				if row.Role == Control || row.tails() == 0 {
					continue
				}
				cells := table.Row{printable(m.Name + ", " + row.Label), row.Values}
				for _, tail := range row.Tails[:shown] {
					cells = append(cells, tailText(tail, m.Unit))
				}
				rows = append(rows, cells)
			}
		}
	}
	t.section("Tails of single trials: " + tailRule())
	t.table(rows, []text.Align{text.AlignRight, text.AlignRight, text.AlignRight, text.AlignRight}[:1+shown]...)
}

func tailRule() string {
	return fmt.Sprintf("p95 needs %d of them, p99 %d, p99.9 %d", stat.TailNeeds(0.95), stat.TailNeeds(0.99), stat.TailNeeds(0.999))
}

// tails is how many of the quantiles some row has values enough for.
func (w Workload) tails() int {
	most := 0
	for _, m := range w.Metrics {
		for _, row := range m.Rows {
			most = max(most, row.tails())
		}
	}
	return most
}

func (row Row) tails() int {
	n := 0
	for _, tail := range row.Tails {
		if tail.Enough() {
			n++
		}
	}
	return n
}

func tailText(tail stat.Tail, unit string) string {
	if !tail.Enough() {
		return "n too small"
	}
	return quantityText(tail.Value, unit)
}

// footing is what the figures stand on, and what is missing from them.
func (t *textWriter) footing(run Run) {
	t.section("How far to trust it")
	if len(run.Harness) > 0 {
		var parts []string
		for _, o := range run.Harness {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", o.Metric, quantityText(o.Summary.Median, o.Unit), intervalText(o.Summary.Interval, o.Summary.Median, o.Unit))))
		}
		t.wrapped("  ", "    ", "The harness itself, not subtracted: "+strings.Join(parts, ", ")+".")
	}
	t.wrapped("  ", "    ", noiseLine(run))
	t.wrapped("  ", "    ", verdictLine(run))
	t.wrapped("  ", "    ", quietLine(run))
	if !run.Trust.Trusted {
		t.wrapped("  ", "    ", "(?) marks cells during whose trials the host was not quiet.")
	}
	if len(run.Skips) > 0 {
		t.section(fmt.Sprintf("Skipped: %s", counted(len(run.Skips), "cell")))
		for _, s := range groupSkips(run.Skips) {
			t.wrapped("  ", "    ", s.text())
		}
	}
	if len(run.Failures) > 0 {
		t.section(fmt.Sprintf("Failed: %s", counted(run.Trials.Failed, "trial")))
		for _, f := range groupFailures(run.Failures) {
			t.wrapped("  ", "    ", f.text())
		}
	}
	if len(run.Warnings)+len(run.Notes) > 0 {
		t.section("Warnings")
		for _, w := range run.Warnings {
			t.wrapped("  ! ", "    ", w.text())
		}
		for _, n := range run.Notes {
			t.wrapped("  ! ", "    ", "the journal: "+n)
		}
	}
}

// cellText names a cell where its host is known.
func cellText(k runner.Key) string {
	k.Host = ""
	return k.String()
}

// cellGroup is cells of which one thing is to be said.
type cellGroup struct {
	Cells []string // the first of them
	More  int      // and how many others
}

func (g *cellGroup) add(k runner.Key) {
	const shown = 3
	if len(g.Cells) < shown {
		g.Cells = append(g.Cells, cellText(k))
	} else {
		g.More++
	}
}

func (g cellGroup) text() string {
	text := strings.Join(g.Cells, ", ")
	if g.More > 0 {
		text += " and " + counted(g.More, "more cell")
	}
	return text
}

// skipGroup is cells that were skipped for one reason.
type skipGroup struct {
	Skip
	cellGroup
}

// groupSkips puts together what has one reason, in order of appearance: a
// storage that is missing is missing to every workload.
func groupSkips(skips []Skip) []skipGroup {
	var all []skipGroup
	for _, s := range skips {
		i := slices.IndexFunc(all, func(g skipGroup) bool { return g.Reason == s.Reason && g.Fix == s.Fix && g.Named == s.Named })
		if i < 0 {
			i, all = len(all), append(all, skipGroup{Skip: s})
		}
		all[i].add(s.Key)
	}
	return all
}

func (s skipGroup) text() string {
	text := s.cellGroup.text() + ": " + s.Reason
	if s.Fix != "" {
		text += "; to have it: " + s.Fix
	}
	if s.Named {
		text += " (you named it)"
	}
	return text
}

// failureGroup is cells that failed for one cause.
type failureGroup struct {
	Failure
	cellGroup
}

// groupFailures puts together what failed alike, in order of appearance: a
// storage that could not be built fails in every workload.
func groupFailures(failures []Failure) []failureGroup {
	var all []failureGroup
	for _, f := range failures {
		i := slices.IndexFunc(all, func(g failureGroup) bool { return g.cause() == f.cause() })
		if i < 0 {
			i, all = len(all), append(all, failureGroup{Failure: f})
			all[i].Trials = nil
		}
		all[i].add(f.Key)
		all[i].Trials = append(all[i].Trials, f.Trials...)
	}
	return all
}

func (f failureGroup) text() string {
	return fmt.Sprintf("%s: %s: %s (%s: %s)", f.cellGroup.text(), f.Op, f.cause(), counted(len(f.Trials), "trial"), few(f.Trials))
}

// cause is the error less the operation's name, which stands before it.
func (f Failure) cause() string { return strings.TrimPrefix(f.Error, f.Op+": ") }

func few(numbers []int) string {
	const shown = 8
	text := fmt.Sprint(numbers[:min(shown, len(numbers))])
	text = strings.ReplaceAll(strings.Trim(text, "[]"), " ", ", ")
	if len(numbers) > shown {
		text += ", …"
	}
	return text
}

func (w Warning) text() string {
	if w.Trials > 0 {
		return fmt.Sprintf("%s (%s)", w.Text, counted(w.Trials, "trial"))
	}
	return w.Text
}
