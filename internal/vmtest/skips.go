package vmtest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Outcome is the last word on a test or subtest: "pass", "fail" or "skip", or
// "run" for one whose binary ended before it did.
type Outcome struct {
	Action string
	Reason string // why it was skipped, as it says itself
}

// Outcomes are those of one machine and user, by package and name.
type Outcomes map[string]Outcome

// ReadOutcomes reads the output of go test -json.
func ReadOutcomes(r io.Reader) (Outcomes, error) {
	events, err := readEvents(r)
	if err != nil {
		return nil, err
	}
	all, said := Outcomes{}, map[string]string{}
	for _, e := range events {
		name := e.Package + " " + e.Test
		switch {
		case e.Test == "":
		case e.Action == "output":
			if m := logLine.FindStringSubmatch(e.Output); m != nil {
				said[name] = m[1]
			}
		case e.Action == "skip":
			all[name] = Outcome{"skip", said[name]}
		case slices.Contains([]string{"run", "pass", "fail"}, e.Action):
			all[name] = Outcome{Action: e.Action}
		}
	}
	return all, nil
}

// logLine is what t.Log and t.Skip print.
var logLine = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)\n?$`)

// measurement begins the reason of a test that makes no statement about what
// works, and that make measure runs: no machine need have run it.
const measurement = "a measurement:"

// SkipTable shows what is proven where: a row for each thing that tests want and
// that some machine lacks, a column for each machine.
type SkipTable struct {
	Machines []string
	Rows     []SkipRow
	Exempt   map[string]string // why nobody is expected to run a test
}

// SkipRow is the tests that were skipped for one reason on the same machines.
// Actions are in the order of SkipTable.Machines, "" where the tests are not.
type SkipRow struct {
	Reason  string
	Actions []string
	Tests   []string
}

// ran reports whether any machine ran the tests.
func (r SkipRow) ran() bool {
	return slices.ContainsFunc(r.Actions, func(a string) bool { return a != "" && a != "skip" })
}

// Skips compares the machines. Exempt has reasons by package and name of a test.
func Skips(machines []string, outcomes []Outcomes, exempt map[string]string) SkipTable {
	t := SkipTable{Machines: machines, Exempt: exempt}
	reasons := map[string]string{} // by test, of the first machine that skipped it
	for _, o := range slices.Backward(outcomes) {
		for name, out := range o {
			if out.Action == "skip" {
				reasons[name] = out.Reason
			}
		}
	}
	rows := map[string]*SkipRow{}
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		row := SkipRow{Reason: reasons[name]}
		for _, o := range outcomes {
			row.Actions = append(row.Actions, o[name].Action)
		}
		key := fmt.Sprintf("%q%q", row.Reason, row.Actions)
		if rows[key] == nil {
			rows[key] = &row
		}
		rows[key].Tests = append(rows[key].Tests, name)
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		t.Rows = append(t.Rows, *rows[key])
	}
	return t
}

// Unproven names the tests that no machine ran and one should have.
func (t SkipTable) Unproven() (tests []string) {
	for _, r := range t.Rows {
		if r.ran() || strings.HasPrefix(r.Reason, measurement) {
			continue
		}
		for _, name := range r.Tests {
			if t.Exempt[name] == "" {
				tests = append(tests, name)
			}
		}
	}
	return tests
}

// String is a line for each row: what the machines did, how many tests, and why;
// then, for what no machine ran, the names of the tests.
func (t SkipTable) String() string {
	var b strings.Builder
	width := 6
	for _, m := range t.Machines {
		width = max(width, len(m)+2)
	}
	for _, m := range t.Machines {
		fmt.Fprintf(&b, "%-*s", width, m)
	}
	b.WriteString("tests  which say\n")
	for _, r := range t.Rows {
		for _, a := range r.Actions {
			fmt.Fprintf(&b, "%-*s", width, cmp.Or(a, "-"))
		}
		fmt.Fprintf(&b, "%5d  %s\n", len(r.Tests), cmp.Or(r.Reason, "nothing"))
	}
	for _, r := range t.Rows {
		for _, name := range r.Tests {
			if t.Exempt[name] != "" && !r.ran() {
				fmt.Fprintf(&b, "EXEMPT  %s: %s\n", name, t.Exempt[name])
			}
		}
	}
	for _, name := range t.Unproven() {
		fmt.Fprintf(&b, "UNPROVEN  %s\n", name)
	}
	return b.String()
}
