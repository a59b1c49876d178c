package vmtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadOutcomes(t *testing.T) {
	got, err := ReadOutcomes(strings.NewReader(`{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/sub"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    a_test.go:3: needs root\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    --- SKIP: TestA/sub (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA/sub","Elapsed":0}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestHangs"}
{"Action":"fail","Package":"p","Elapsed":0.1}
{"Action":"skip","Package":"has/no/tests"}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Outcomes{"p TestA": {Action: "pass"}, "p TestA/sub": {"skip", "needs root"}, "p TestHangs": {Action: "run"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReadOutcomesRefuses(t *testing.T) {
	if got, err := ReadOutcomes(strings.NewReader("ok  \tp\t0.1s\n")); err == nil {
		t.Errorf("got %v, want an error for plain go test output", got)
	}
}

func TestSkips(t *testing.T) {
	pass, fail, run := Outcome{Action: "pass"}, Outcome{Action: "fail"}, Outcome{Action: "run"}
	root, swap, quiet := Outcome{"skip", "needs root"}, Outcome{"skip", "needs swap"}, Outcome{"skip", "a measurement: alone"}
	table := Skips([]string{"host", "root", "user"}, []Outcomes{
		{"p Everywhere": pass, "p Nowhere": swap, "p A": pass, "p B": pass, "p ThereOnly": root, "p Broken": swap, "p HostOnlyTest": swap, "p Measure": quiet, "p Exempt": swap},
		{"p Everywhere": pass, "p Nowhere": root, "p A": pass, "p B": pass, "p ThereOnly": pass, "p Broken": fail, "p Measure": quiet},
		{"p Everywhere": pass, "p Nowhere": root, "p A": root, "p B": root, "p ThereOnly": root, "p Broken": run, "p Measure": quiet},
	}, map[string]string{"p Exempt": "takes two hosts", "p A": "proven after all"})
	want := strings.Join([]string{
		"host  root  user  tests  which say",
		"skip  skip  skip      1  a measurement: alone",
		"pass  pass  skip      2  needs root",
		"skip  pass  skip      1  needs root",
		"skip  -     -         2  needs swap",
		"skip  fail  run       1  needs swap", // reported as a failure where it failed
		"skip  skip  skip      1  needs swap",
		"EXEMPT  p Exempt: takes two hosts",
		"UNPROVEN  p HostOnlyTest",
		"UNPROVEN  p Nowhere",
	}, "\n") + "\n"
	if d := cmp.Diff(want, table.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
}

func TestHereArgs(t *testing.T) {
	got := hereArgs([]string{"m/p TestB/sub", "m/p TestB/other/one", "m/a/q TestA", "m/p TestA"})
	if d := cmp.Diff([]string{"-run", "^(TestA|TestB)$", "m/a/q", "m/p"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzReadOutcomes(f *testing.F) {
	f.Add(`{"Action":"skip","Package":"p","Test":"T"}`)
	f.Fuzz(func(t *testing.T, s string) {
		all, err := ReadOutcomes(strings.NewReader(s))
		if err != nil {
			return
		}
		// One machine against itself: unproven is what it skipped.
		skipped := 0
		for _, o := range all {
			if o.Action == "skip" && !strings.HasPrefix(o.Reason, measurement) {
				skipped++
			}
		}
		if got := Skips([]string{"a", "b"}, []Outcomes{all, all}, nil).Unproven(); len(got) != skipped {
			t.Errorf("%d unproven, %d skipped", len(got), skipped)
		}
	})
}
