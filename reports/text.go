package reports

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plimsoll/reports/stat"
)

// Columns is the width that a text report keeps within.
const Columns = 100

// Text writes the report for a terminal: the end of bench run, and its
// summary.txt. Colour only if asked for.
func Text(w io.Writer, r Report, colour bool) error {
	t := textWriter{colour: colour}
	if len(r.Runs) > 1 {
		t.beside(r)
	}
	for i, run := range r.Runs {
		if len(r.Runs) > 1 {
			t.line("")
			t.line(fmt.Sprintf("%s %d %s", strings.Repeat("━", 4), i+1, strings.Repeat("━", Columns-6-len(fmt.Sprint(i+1)))))
			t.line("")
		}
		t.run(run)
	}
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("write the report as text: %w", err)
	}
	return nil
}

type textWriter struct {
	b      strings.Builder
	colour bool
}

func (t *textWriter) run(run Run) {
	t.wrapped("", "  ", run.Label)
	t.wrapped("", "  ", runLine(run))
	t.line("")
	for _, s := range run.Headline {
		t.wrapped("  ", "  ", s)
	}
	if run.hasFloor() {
		t.wrapped("  ", "  ", floorNote)
	}
	if run.Storage != nil {
		t.storage(run)
	}
	for _, w := range run.Workloads {
		switch {
		case len(w.Metrics) == 0:
		case w.onStorage():
			t.costs(w)
		default:
			t.workload(w)
		}
	}
	if run.Storage != nil {
		t.line("")
		t.wrapped("  ", "  ", costNote)
	}
	for _, w := range run.Workloads {
		for _, b := range t.shownBreakdowns(w.Breakdowns) {
			t.breakdown(w, b)
		}
	}
	t.tails(run)
	t.footing(run)
}

// floorNote stands beside the runtimes that isolate is not one of.
const floorNote = "isolate is the floor: the least that a container can cost on this host. It is not the runtime you use; the others are."

func (run Run) hasFloor() bool {
	for _, w := range run.Workloads {
		for _, m := range w.Metrics {
			for _, row := range m.Rows {
				if row.Key.Runtime == "isolate" {
					return true
				}
			}
		}
	}
	return false
}

func runLine(run Run) string {
	parts := []string{}
	if run.Profile.Name != "" {
		parts = append(parts, "profile "+printable(run.Profile.Name))
	}
	if run.Profile.Rounds > 0 {
		parts = append(parts, counted(run.Profile.Rounds, "round"))
	}
	parts = append(parts, fmt.Sprintf("%s, %d failed", counted(run.Trials.Done, "trial"), run.Trials.Failed),
		fmt.Sprintf("seed %d", run.Seed), run.Started.UTC().Format("2006-01-02 15:04 MST"), run.Status)
	return strings.Join(parts, " · ")
}

func (t *textWriter) workload(w Workload) {
	t.section(w.heading())
	rows := []table.Row{{"", t.dim("median"), t.dim("95% interval"), t.dim("ratio"), t.dim("95% interval"), ""}}
	for _, m := range w.Metrics {
		rows = append(rows, table.Row{printable(m.Name), "", "", "", "", t.dim(m.heading())})
		for _, row := range m.Rows {
			rows = append(rows, table.Row{"  " + printable(row.Label), quantityText(row.Summary.Median, m.Unit), row.intervalOrWhy(m.Unit),
				row.ratio(), row.ratioInterval(), t.verdict(m, row)})
		}
	}
	t.table(rows, text.AlignRight, text.AlignLeft, text.AlignRight, text.AlignLeft, text.AlignLeft)
}

func (w Workload) heading() string {
	if w.Common == "" {
		return w.Name
	}
	return w.Name + ", " + w.who() + " with " + w.Common
}

// heading says what the columns after the median hold.
func (m Metric) heading() string {
	if m.ContainerOnly {
		return "containers only"
	}
	return string(m.Better) + " is better"
}

func (row Row) intervalOrWhy(unit string) string {
	if row.Summary.Interval == nil {
		return fmt.Sprintf("n=%d, too few", row.Summary.N)
	}
	return intervalText(row.Summary.Interval, row.Summary.Median, unit)
}

func (row Row) ratio() string {
	if c := row.Comparison; c != nil && c.Ratio.Value > 0 {
		return ratioText(c.Ratio.Value)
	}
	return ""
}

func (row Row) ratioInterval() string {
	if c := row.Comparison; c != nil {
		return ratioInterval(c.Interval)
	}
	return ""
}

// outcome is the verdict in words, or what stands in its place.
func (row Row) outcome(m Metric) string {
	c := row.Comparison
	switch {
	case row.Role == Baseline:
		return "baseline"
	case c == nil:
		return ""
	case row.Role == Control && c.Interval != nil:
		return "noise floor " + percent(stat.Deviation(*c.Interval))
	case c.Ratio.Value <= 0:
		return "no ratio"
	case c.Verdict == stat.Worse, c.Verdict == stat.Better:
		return string(c.Verdict) + ", " + difference(m, c.Ratio.Value)
	}
	return string(c.Verdict)
}

func (t *textWriter) verdict(m Metric, row Row) string {
	s := row.outcome(m)
	if len(row.Untrusted) > 0 && row.Role == Cell && !m.ContainerOnly {
		s += " (?)"
	}
	if c := row.Comparison; c != nil {
		switch c.Verdict {
		case stat.Worse:
			return t.paint("33", s) // yellow and cyan: told apart without seeing red and green
		case stat.Better:
			return t.paint("36", s)
		}
	}
	return s
}

// wrapIndented wraps a cell and keeps its indent, on the lines that follow
// with two more.
func wrapIndented(cell string, width int) string {
	content := strings.TrimLeft(cell, " ")
	indent := cell[:len(cell)-len(content)]
	if len(indent) == 0 || text.StringWidthWithoutEscSequences(cell) <= width {
		return text.WrapText(cell, width)
	}
	lines := strings.Split(text.WrapSoft(content, width-len(indent)-2), "\n")
	return indent + strings.Join(lines, "\n"+indent+"  ")
}

// table writes aligned rows, indented by two. The first column is on the left
// and gets what the others leave of the width: a longer label is wrapped.
func (t *textWriter) table(rows []table.Row, aligns ...text.Align) {
	const indent, gap = 2, 2
	room := Columns - indent
	configs := []table.ColumnConfig{{Number: 1, WidthMaxEnforcer: wrapIndented}}
	for i, align := range aligns {
		widest := 0
		for _, row := range rows {
			widest = max(widest, text.LongestLineLen(fmt.Sprint(row[i+1])))
		}
		room -= widest + gap
		configs = append(configs, table.ColumnConfig{Number: i + 2, Align: align})
	}
	configs[0].WidthMax = max(room, 12)
	tab := table.NewWriter()
	tab.SuppressTrailingSpaces()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = strings.Repeat(" ", gap), ""
	tab.SetStyle(style)
	tab.SetColumnConfigs(configs)
	tab.AppendRows(rows)
	t.line(tab.Render())
}

func (t *textWriter) line(s string) { t.b.WriteString(strings.TrimRight(s, " ") + "\n") }

// wrapped writes a paragraph within Columns.
func (t *textWriter) wrapped(first, rest, s string) {
	for _, line := range wrap(first, rest, s) {
		t.line(line)
	}
}

// section writes a heading.
func (t *textWriter) section(heading string) {
	t.line("")
	for _, line := range wrap("", "  ", heading) {
		t.line(t.bold(line))
	}
}

// wrap breaks a paragraph into lines within Columns, the first after first,
// the others after rest.
func wrap(first, rest, s string) []string {
	var lines []string
	line := first
	for _, word := range words(printable(s), Columns-utf8.RuneCountInString(rest)) {
		if line != first && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > Columns {
			lines = append(lines, line)
			line, first = rest, rest
		}
		if line != first {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// words splits a text at spaces, and words that are longer than width.
func words(s string, width int) []string {
	var all []string
	for word := range strings.FieldsSeq(s) {
		runes := []rune(word)
		for len(runes) > width {
			all, runes = append(all, string(runes[:width])), runes[width:]
		}
		all = append(all, string(runes))
	}
	return all
}

func (t *textWriter) paint(code, s string) string {
	if !t.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *textWriter) bold(s string) string { return t.paint("1", s) }
func (t *textWriter) dim(s string) string  { return t.paint("2", s) }

// printable takes control characters out of names that a journal brings: an
// escape sequence in one must not reach a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' {
			return '·'
		}
		return r
	}, s)
}
