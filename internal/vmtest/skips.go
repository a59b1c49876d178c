package vmtest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Outcomes are the last words on every test and subtest of one machine and
// user: "pass", "fail" or "skip" by package and name; "run" for a test whose
// binary ended before it did.
type Outcomes map[string]string

// ReadOutcomes reads the output of go test -json.
func ReadOutcomes(r io.Reader) (Outcomes, error) {
	events, err := readEvents(r)
	if err != nil {
		return nil, err
	}
	all := Outcomes{}
	for _, e := range events {
		switch e.Action {
		case "run", "pass", "fail", "skip":
			if e.Test != "" {
				all[e.Package+" "+e.Test] = e.Action
			}
		}
	}
	return all, nil
}

// SkipTable shows which test is proven where: a row for each test that some
// machine skipped, a column for each machine.
type SkipTable struct {
	Machines []string
	Rows     []SkipRow
}

// SkipRow is one test. Outcomes are in the order of SkipTable.Machines, "" where
// the test did not run.
type SkipRow struct {
	Test     string
	Outcomes []string
}

// Unproven reports whether some machine skipped the test and none ran it.
func (r SkipRow) Unproven() bool {
	return !slices.ContainsFunc(r.Outcomes, func(o string) bool { return o != "" && o != "skip" })
}

// Skips compares the machines.
func Skips(machines []string, outcomes []Outcomes) SkipTable {
	t := SkipTable{Machines: machines}
	tests := map[string]bool{}
	for _, o := range outcomes {
		for name, action := range o {
			tests[name] = tests[name] || action == "skip"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		if !tests[name] {
			continue
		}
		row := SkipRow{Test: name}
		for _, o := range outcomes {
			row.Outcomes = append(row.Outcomes, o[name])
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Unproven counts the tests that no machine ran.
func (t SkipTable) Unproven() (n int) {
	for _, r := range t.Rows {
		if r.Unproven() {
			n++
		}
	}
	return n
}

// String is a line for each test, tab-separated: its outcome on each machine,
// its name, and for a test that no machine ran, a word that can be searched for.
func (t SkipTable) String() string {
	var b strings.Builder
	for i, m := range t.Machines {
		fmt.Fprintf(&b, "[%d] %s\n", i+1, m)
	}
	for i := range t.Machines {
		fmt.Fprintf(&b, "[%d]\t", i+1)
	}
	b.WriteString("test\n")
	for _, r := range t.Rows {
		for _, o := range r.Outcomes {
			b.WriteString(cmp.Or(o, "-") + "\t")
		}
		b.WriteString(r.Test)
		if r.Unproven() {
			b.WriteString("\tUNPROVEN")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
