package reports

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// Beside is one cell's metric as several runs measured it. The figures are
// not compared with each other: each has its own baseline, host and noise.
type Beside struct {
	Workload string    `json:"workload"`
	Metric   string    `json:"metric"`
	Unit     string    `json:"unit"`
	Label    string    `json:"label"`
	Figures  []*Figure `json:"figures"` // one for each run, in order; nil where the run has none
}

// Figure is one run's part of a Beside.
type Figure struct {
	Median    float64      `json:"median"`
	Ratio     float64      `json:"ratio,omitempty"` // to the run's own baseline
	Verdict   stat.Verdict `json:"verdict,omitempty"`
	Untrusted bool         `json:"untrusted,omitempty"`
}

// beside lines up the runs, cell by cell, without the controls.
func beside(runs []Run) []Beside {
	type place struct {
		metric, unit string
		key          runner.Key
	}
	figures := map[place][]*Figure{}
	byWorkloadName := map[string][]place{}
	for i, run := range runs {
		for _, w := range run.Workloads {
			for _, m := range w.Metrics {
				for _, row := range m.Rows {
					if row.Role == Control {
						continue
					}
					at := place{m.Name, m.Unit, row.Key}
					at.key.Host = ""
					if figures[at] == nil {
						figures[at] = make([]*Figure, len(runs))
						byWorkloadName[w.Name] = append(byWorkloadName[w.Name], at)
					}
					f := &Figure{Median: row.Summary.Median, Untrusted: len(row.Untrusted) > 0}
					if c := row.Comparison; c != nil {
						f.Ratio, f.Verdict = c.Ratio.Value, c.Verdict
					}
					figures[at][i] = f
				}
			}
		}
	}
	var all []Beside
	for _, name := range slices.SortedFunc(maps.Keys(byWorkloadName), byWorkload) {
		places := byWorkloadName[name]
		slices.SortStableFunc(places, func(a, b place) int {
			if c := byMetric(a.metric, b.metric); c != 0 {
				return c
			}
			return byCell(a.key, b.key)
		})
		var keys []runner.Key
		for _, at := range places {
			keys = append(keys, at.key)
		}
		label, _ := labels(keys)
		for _, at := range places {
			all = append(all, Beside{name, at.metric, at.unit, label[at.key], figures[at]})
		}
	}
	return all
}

// differences names the levels that runs call alike and mean differently:
// two versions of a runtime, two sizes of a limit.
func differences(runs []Run) []string {
	means := map[string]map[string]string{} // by "factor level", the first run's meaning
	first := map[string]string{}
	var notes []string
	for _, run := range runs {
		for _, factor := range slices.Sorted(maps.Keys(run.Levels)) {
			for _, level := range slices.Sorted(maps.Keys(run.Levels[factor])) {
				name, meaning := factor+" "+level, run.Levels[factor][level]
				switch other, ok := means[name]; {
				case !ok:
					means[name], first[name] = meaning, run.Label
				case !maps.Equal(other, meaning):
					notes = append(notes, fmt.Sprintf("%s is not the same in %s (%s) and in %s (%s)",
						name, first[name], meaningText(other), run.Label, meaningText(meaning)))
				}
			}
		}
	}
	return notes
}

func meaningText(meaning map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(meaning)) {
		parts = append(parts, k+" "+meaning[k])
	}
	return strings.Join(parts, ", ")
}
