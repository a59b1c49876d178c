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
}

// SkipRow is the tests that were skipped for one reason on the same machines.
// Actions are in the order of SkipTable.Machines, "" where the tests are not.
type SkipRow struct {
	Reason  string
	Actions []string
	Tests   []string
}

// Unproven reports whether no machine ran the tests, and one should have.
func (r SkipRow) Unproven() bool {
	ran := slices.ContainsFunc(r.Actions, func(a string) bool { return a != "" && a != "skip" })
	return !ran && !strings.HasPrefix(r.Reason, measurement)
}

// Skips compares the machines.
func Skips(machines []string, outcomes []Outcomes) SkipTable {
	t := SkipTable{Machines: machines}
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

// Unproven names the tests that no machine ran.
func (t SkipTable) Unproven() (tests []string) {
	for _, r := range t.Rows {
		if r.Unproven() {
			tests = append(tests, r.Tests...)
		}
	}
	return tests
}

// String is a line for each row: what the machines did, how many tests, and why;
// then, for what no machine ran, the names of the tests.
func (t SkipTable) String() string {
	var b strings.Builder
	for _, m := range t.Machines {
		fmt.Fprintf(&b, "%-9s", m)
	}
	b.WriteString("tests  which say\n")
	for _, r := range t.Rows {
		for _, a := range r.Actions {
			fmt.Fprintf(&b, "%-9s", cmp.Or(a, "-"))
		}
		fmt.Fprintf(&b, "%5d  %s\n", len(r.Tests), cmp.Or(r.Reason, "nothing"))
	}
	for _, name := range t.Unproven() {
		fmt.Fprintf(&b, "UNPROVEN  %s\n", name)
	}
	return b.String()
}
