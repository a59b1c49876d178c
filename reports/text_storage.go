package reports

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plimsoll/profiles"
	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// storage writes the table of claims with what was found beside them, and the
// figures behind the words.
func (t *textWriter) storage(run Run) {
	s := run.Storage
	t.section("what is said of storage, and what this host says")
	t.claims(s)
	t.line("")
	for _, d := range s.Drawbacks {
		if d.Found != "" {
			t.wrapped("  ", "    ", d.Kind+": "+d.Found+".")
		}
	}
	if s.Image != "" {
		t.wrapped("  ", "    ", s.Image+".")
	}
	t.section("the figures behind the words, and their ratio to a plain copy's (" + profiles.PlainCopy + ")")
	var rows []table.Row
	for _, c := range s.Claims {
		if found := c.findings(t); len(found) > 0 {
			rows = append(append(rows, table.Row{c.Row, "", "", ""}), found...)
		}
	}
	t.table(rows, text.AlignRight, text.AlignRight, text.AlignLeft)
	t.line("")
	for _, c := range s.Claims {
		t.wrapped("  ", "    ", c.Row+": "+c.Rule+".")
	}
	if len(s.Uses) > 0 {
		t.section("which storage for what, on this host")
		for _, u := range s.Uses {
			t.wrapped("  ", "    ", u.Name+": "+strings.Join(u.Choose, " or ")+".")
			t.wrapped("    ", "    ", u.Why+".")
		}
	}
	for _, w := range run.Workloads {
		if len(w.Quirks) > 0 {
			t.quirks(run, w)
		}
	}
}

// claims writes three lines for each row: whether what is said was found, what
// is said, and what was found.
func (t *textWriter) claims(s *Storage) {
	header, verdict, said := table.Row{""}, table.Row{"drawbacks"}, table.Row{"  said"}
	for _, d := range s.Drawbacks {
		header, verdict, said = append(header, t.dim(d.Kind)), append(verdict, t.claimVerdict(d.Verdict)), append(said, d.Claimed)
	}
	drawbacks := []table.Row{verdict, said}
	rows := []table.Row{header}
	for _, c := range s.Claims {
		verdict, said, here := table.Row{c.Row}, table.Row{"  said"}, table.Row{"  here"}
		for _, k := range c.Kinds {
			verdict, said, here = append(verdict, t.claimVerdict(k.Verdict)), append(said, k.Claimed), append(here, k.here())
		}
		rows = append(rows, verdict, said, here)
	}
	t.table(append(rows, drawbacks...), slices.Repeat([]text.Align{text.AlignLeft}, len(s.Drawbacks))...)
}

// here lists the words that were earned, in the order of the storages.
func (k KindClaim) here() string {
	var words []string
	for _, f := range k.Findings {
		if !slices.Contains(words, f.Word) {
			words = append(words, f.Word)
		}
	}
	return strings.Join(words, ", ")
}

// findings are the storages' lines of a row of the table.
func (c Claim) findings(t *textWriter) (rows []table.Row) {
	for _, k := range c.Kinds {
		for _, f := range k.Findings {
			rows = append(rows, table.Row{"  " + printable(f.Storage), quantityText(f.Value, c.Unit), shareText(f.Ratio), f.words()})
		}
	}
	return rows
}

// costMetrics is how many metrics stand side by side.
const costMetrics = 4

const costNote = "Behind a storage's median is its ratio to the plain copy's, with a ? where that is inconclusive, or the host was not quiet. " +
	"Intervals and verdicts: bench report --format html, or json."

// costs writes a line for each storage: one for each metric would be too many
// to be read.
func (t *textWriter) costs(w Workload) {
	t.section(w.heading())
	for metrics := range slices.Chunk(w.Metrics, costMetrics) {
		header := table.Row{""}
		var rows []table.Row
		at := map[runner.Key]int{}
		level := ""
		for column, m := range metrics {
			name := strings.Split(text.WrapSoft(printable(strings.ReplaceAll(m.Name, "_", " ")), 16), "\n")
			for i := range name {
				name[i] = t.dim(strings.TrimSpace(name[i]))
			}
			header = append(header, strings.Join(name, "\n"))
			for _, row := range m.Rows {
				if row.Role == Control {
					continue
				}
				i, ok := at[row.Key]
				if !ok {
					_, of, _ := strings.Cut(row.Label, " ")
					if of != level {
						level = of
						rows = append(rows, append(table.Row{printable(cmp.Or(of, "else"))}, blank(len(metrics))...))
					}
					i, at[row.Key] = len(rows), len(rows)
					rows = append(rows, append(table.Row{"  " + printable(contender(row.Key))}, blank(len(metrics))...))
				}
				rows[i][column+1] = row.cost(m.Unit)
			}
		}
		t.table(append([]table.Row{header}, rows...), slices.Repeat([]text.Align{text.AlignRight}, len(metrics))...)
	}
}

func blank(n int) []any { return slices.Repeat([]any{""}, n) }

func (row Row) cost(unit string) string {
	ratio, doubt := "", " "
	if c := row.Comparison; c != nil && c.Ratio.Value > 0 {
		ratio = shareText(c.Ratio.Value)
		if c.Verdict == stat.Inconclusive || len(row.Untrusted) > 0 {
			doubt = "?"
		}
	}
	return fmt.Sprintf("%s %6s%s", quantityText(row.Summary.Median, unit), ratio, doubt)
}

func (t *textWriter) claimVerdict(verdict string) string {
	switch verdict {
	case agrees:
		return t.paint("36", verdict)
	case disagrees, betterThan, worseThan:
		return t.paint("33", verdict)
	}
	return verdict
}

// words are what a finding is called.
func (f Finding) words() string {
	if f.Borderline != "" {
		return f.Word + ", or " + f.Borderline
	}
	return f.Word
}

// shareText writes a ratio as people say it: "1/403", "12.1×".
func shareText(ratio float64) string {
	switch {
	case ratio == 0:
		return "0"
	case ratio < 1:
		return "1/" + significant(1/ratio)
	}
	return ratioText(ratio)
}

// quirks lists what does not hold everywhere, where, and what follows.
func (t *textWriter) quirks(run Run, w Workload) {
	t.section("what programs take for granted, and where it fails")
	failing, everywhere := 0, 0
	for _, q := range w.Quirks {
		on := q.failsOn()
		if len(on) == 0 {
			everywhere++
			continue
		}
		failing++
		text := q.Name + ": " + strings.Join(on, ", ")
		if why := run.Levels["quirk"][q.Name]["why"]; why != "" {
			text += ": " + why
		}
		t.wrapped("  ", "    ", text+".")
	}
	t.wrapped("  ", "  ", hold(everywhere, failing > 0)+" everywhere.")
}

func hold(n int, others bool) string {
	noun := "things"
	if others {
		noun = "others"
	}
	if n == 1 {
		return "1 of the " + noun + " holds"
	}
	return fmt.Sprintf("%d %s hold", n, noun)
}

// failsOn lists the storages on which the quirk does not hold.
func (q Quirk) failsOn() []string {
	var on []string
	for _, storage := range slices.SortedFunc(maps.Keys(q.Holds), func(a, b string) int {
		return rank(profiles.Storages, a) - rank(profiles.Storages, b)
	}) {
		if !q.Holds[storage] {
			on = append(on, storage)
		}
	}
	return on
}
