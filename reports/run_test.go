package reports

import (
	"testing"

	"plimsoll/runner"
)

// What clones did instead of what plain directories do is told with the quirks.
func TestRecordedLeavesOutQuirks(t *testing.T) {
	trial := 1
	got := recorded([]runner.Warning{{Trial: &trial, Code: "quirk/file_handles", Text: "not supported"}, {Trial: &trial, Code: "steal", Text: "wait"}},
		[]runner.TrialRecord{{Trial: 1}}, func(runner.Key) bool { return true })
	if len(got) != 1 || got[0].Code != "steal" || got[0].Trials != 1 {
		t.Errorf("%+v", got)
	}
}
