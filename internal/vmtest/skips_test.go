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
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"needs root\n"}
{"Action":"skip","Package":"p","Test":"TestA/sub","Elapsed":0}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestHangs"}
{"Action":"fail","Package":"p","Elapsed":0.1}
{"Action":"skip","Package":"has/no/tests"}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Outcomes{"p TestA": "pass", "p TestA/sub": "skip", "p TestHangs": "run"}
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
	table := Skips([]string{"host", "vm root", "vm user"}, []Outcomes{
		{"p Everywhere": "pass", "p Nowhere": "skip", "p HereOnly": "pass", "p ThereOnly": "skip", "p Broken": "skip", "p HostOnlyTest": "skip"},
		{"p Everywhere": "pass", "p Nowhere": "skip", "p HereOnly": "skip", "p ThereOnly": "pass", "p Broken": "fail"},
		{"p Everywhere": "pass", "p Nowhere": "skip", "p HereOnly": "skip", "p ThereOnly": "skip", "p Broken": "run"},
	})
	want := strings.Join([]string{
		"[1] host",
		"[2] vm root",
		"[3] vm user",
		"[1]\t[2]\t[3]\ttest",
		"skip\tfail\trun\tp Broken", // reported as a failure where it failed
		"pass\tskip\tskip\tp HereOnly",
		"skip\t-\t-\tp HostOnlyTest\tUNPROVEN",
		"skip\tskip\tskip\tp Nowhere\tUNPROVEN",
		"skip\tpass\tskip\tp ThereOnly",
	}, "\n") + "\n"
	if d := cmp.Diff(want, table.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
	if got := table.Unproven(); got != 2 {
		t.Errorf("got %d unproven tests, want 2", got)
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
		for _, action := range all {
			if action == "skip" {
				skipped++
			}
		}
		if got := Skips([]string{"a", "b"}, []Outcomes{all, all}).Unproven(); got != skipped {
			t.Errorf("%d unproven, %d skipped", got, skipped)
		}
	})
}
