package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"plimsoll/profiles"
	"plimsoll/reports/stat"
)

// advice are the warnings that follow from the figures, each with what to do.
func advice(run Run) []Warning {
	var all []Warning
	add := func(code, format string, args ...any) {
		all = append(all, Warning{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	for _, d := range run.Trust.Reasons() {
		add("untrusted", "%s: the figures are untrusted; %s", d, d.Fix)
	}
	if run.Status != "complete" {
		add("unfinished", "the run is %s, with %d of %d trials: bench run --resume DIR continues it", run.Status, run.Trials.Done, run.Trials.Planned)
	}
	if run.Trials.Failed > 0 {
		add("failures", "%s failed and have no part in the figures: see what failed below, and bench runtimes for what this host can run", counted(run.Trials.Failed, "trial"))
	}
	s := surveyOf(run)
	if s.few > 0 {
		add("few-rounds", "%s under %d rounds, too few for intervals and verdicts: run with --rounds %d or more", hasHave(s.few, "figure"), stat.MinRounds, stat.MinRounds)
	}
	if len(s.unpaired) > 0 {
		add("no-baseline", "nothing to compare with for %s: include the runtime bare, or of storages "+profiles.PlainCopy+", and let the run finish", list(s.unpaired))
	}
	if s.judged > 0 && !s.controlled {
		add("no-control", "the run has no A/A control, so that its noise floor is unknown and verdicts rest on the intervals alone")
	}
	if len(s.loud) > 0 {
		add("noise-floor", "the baseline differs from itself by more than the margin of %s in %s: smaller differences cannot be told; quiet the host (other load, frequency governor), or let each measurement take longer",
			percent(run.Rules.Margin), list(s.loud))
	}
	if len(s.drifting) > 0 {
		add("control", "the A/A control of %s differs from its baseline by more than chance: something in the run is not random; measure again before believing small differences", list(s.drifting))
	}
	if len(s.rounds) > 0 {
		slices.Sort(s.rounds)
		add("inconclusive", "%s of %s could be decided by more rounds: about half of them by --rounds %d",
			fmt.Sprint(len(s.rounds)), counted(run.Rules.Comparisons, "comparison"), roundUp(s.rounds[len(s.rounds)/2]))
	}
	return all
}

// survey is what advice needs to know of the tables.
type survey struct {
	judged     int
	controlled bool
	few        int      // rows with too few rounds
	unpaired   []string // metrics that lack a baseline, in some row
	loud       []string // metrics whose noise floor is above the margin
	drifting   []string // metrics whose control's interval leaves 1 out
	rounds     []int    // estimates, of the comparisons that more rounds could decide
}

func surveyOf(run Run) survey {
	var s survey
	for _, w := range run.Workloads {
		for _, m := range w.Metrics {
			unpaired, loud, drifting := false, false, false
			for _, row := range m.Rows {
				if row.Summary.N < stat.MinRounds {
					s.few++
				}
				c := row.Comparison
				if c == nil {
					continue
				}
				if _, ok := m.row(c.Baseline); !ok {
					unpaired = true
				}
				if row.Role == Control {
					s.controlled = s.controlled || c.Interval != nil
					loud = loud || c.Interval != nil && stat.Deviation(*c.Interval) > run.Rules.Margin
					// At the corrected level: of twenty controls, one leaves 1 out by chance.
					if i := c.Ratio.Interval(run.Rules.Corrected); i != nil && (i.Lo > 1 || i.Hi < 1) {
						drifting = true
					}
				}
				if c.Verdict != "" {
					s.judged++
				}
				if c.Rounds > c.Ratio.Rounds {
					s.rounds = append(s.rounds, c.Rounds)
				}
			}
			name := w.Name + " " + m.Name
			for _, f := range []struct {
				is   bool
				into *[]string
			}{{unpaired, &s.unpaired}, {loud, &s.loud}, {drifting, &s.drifting}} {
				if f.is {
					*f.into = append(*f.into, name)
				}
			}
		}
	}
	return s
}

// list names a few of many.
func list(names []string) string {
	const shown = 6
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

func hasHave(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " has"
	}
	return fmt.Sprintf("%d %ss have", n, noun)
}

// roundUp gives a number of rounds that a person would choose.
func roundUp(n int) int {
	step := 5
	if n > 100 {
		step = 50
	}
	return cmp.Or((n+step-1)/step, 1) * step
}
