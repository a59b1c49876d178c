package reports

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"plimsoll/profiles"
)

// storage writes the table of claims with what was found beside them.
func (t *textWriter) storage(run Run) {
	s := run.Storage
	t.section("what is said of storage, and what this host says")
	var rows []table.Row
	for _, c := range s.Claims {
		rows = append(rows, table.Row{c.Row, "", "", "", ""})
		for _, k := range c.Kinds {
			rows = append(rows, table.Row{"  " + k.Kind, "", "", t.dim("said: " + k.Claimed), t.claimVerdict(k.Verdict)})
			for _, f := range k.Findings {
				rows = append(rows, table.Row{"    " + printable(f.Storage), quantityText(f.Value, c.Unit), shareText(f.Ratio), f.words(), ""})
			}
		}
	}
	rows = append(rows, table.Row{"drawbacks", "", "", "", ""})
	for _, d := range s.Drawbacks {
		rows = append(rows, table.Row{"  " + d.Kind, "", "", t.dim("said: " + d.Claimed), t.claimVerdict(d.Verdict)})
	}
	t.table(rows, text.AlignRight, text.AlignRight, text.AlignLeft, text.AlignLeft)
	t.line("")
	for _, d := range s.Drawbacks {
		if d.Found != "" {
			t.wrapped("  ", "    ", d.Kind+": "+d.Found+".")
		}
	}
	t.wrapped("  ", "    ", "Words, by the ratio to the plain copy ("+profiles.PlainCopy+"):")
	for _, c := range s.Claims {
		t.wrapped("    ", "      ", c.Row+": "+c.Rule+".")
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
