package reports

import (
	"maps"
	"slices"

	"plimsoll/profiles"
	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// series is what a cell measured of one metric: values by round, in order.
type series map[int][]float64

// quantity tells metrics apart: one name with two units is two metrics.
type quantity struct {
	name, unit string
	better     runner.Better
}

// cells are a workload's samples, grouped.
type cells struct {
	series map[quantity]map[runner.Key]series
	phases map[runner.Key][]string // names of operations, in the order in which they ran
	keys   []runner.Key            // in the order of reports
}

// workloads makes the tables of one host's samples.
func workloads(samples []runner.Sample, trials []runner.TrialRecord) []Workload {
	byName := map[string][]runner.Sample{}
	for _, s := range samples {
		s.Key = s.Key.WithDefaults()
		byName[s.Key.Workload] = append(byName[s.Key.Workload], s)
	}
	noise := disturbedCells(trials)
	all := []Workload{}
	for _, name := range slices.SortedFunc(maps.Keys(byName), byWorkload) {
		known, _ := profiles.FindWorkload(name)
		w := Workload{Name: name, Help: known.Help, Metrics: []Metric{}}
		c := group(byName[name])
		var label map[runner.Key]string
		label, w.Common = labels(c.keys)
		for _, q := range c.quantities() {
			w.Metrics = append(w.Metrics, newMetric(q, c, label, noise))
		}
		w.Breakdowns = breakdowns(c, label)
		w.Quirks = quirks(c)
		all = append(all, w)
	}
	return all
}

func group(samples []runner.Sample) cells {
	c := cells{series: map[quantity]map[runner.Key]series{}, phases: map[runner.Key][]string{}}
	keys, phases := map[runner.Key]bool{}, map[runner.Key]map[string]bool{}
	for _, s := range samples {
		k, q := s.Key, quantity{s.Metric, s.Unit, s.Better}
		keys[k] = true
		if c.series[q] == nil {
			c.series[q] = map[runner.Key]series{}
		}
		if c.series[q][k] == nil {
			c.series[q][k] = series{}
		}
		c.series[q][k][s.Round] = append(c.series[q][k][s.Round], s.Value)
		if isPhase(s.Metric) {
			if phases[k] == nil {
				phases[k] = map[string]bool{}
			}
			if !phases[k][s.Metric] {
				phases[k][s.Metric] = true
				c.phases[k] = append(c.phases[k], s.Metric)
			}
		}
	}
	c.keys = slices.SortedFunc(maps.Keys(keys), byCell)
	return c
}

// quantities lists the metrics other than phases and quirks, in the order of reports.
func (c cells) quantities() []quantity {
	var all []quantity
	for q := range c.series {
		if !isPhase(q.name) && !isQuirk(q.name) {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b quantity) int {
		if d := byMetric(a.name, b.name); d != 0 {
			return d
		}
		return slices.Compare([]string{a.unit, string(a.better)}, []string{b.unit, string(b.better)})
	})
	return all
}

func newMetric(q quantity, c cells, label map[runner.Key]string, noise map[runner.Key][]string) Metric {
	m := Metric{Name: q.name, Unit: q.unit, Better: q.better, ContainerOnly: findMetric(q.name).containerOnly && !c.keys[0].OnStorage()}
	for _, k := range c.keys {
		values, ok := c.series[q][k]
		if !ok {
			continue
		}
		row := newRow(k, values)
		row.Label, row.Untrusted = label[k], noise[k]
		if row.Role != Baseline && !m.ContainerOnly {
			base := k.Baseline()
			row.Comparison = compare(base, values, c.series[q][base])
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func newRow(k runner.Key, rounds series) Row {
	row := Row{Key: k, Role: Cell, Summary: stat.Summarize(stat.RoundMedians(rounds), stat.Confidence)}
	switch {
	case k.IsBaseline():
		row.Role = Baseline
	case k.IsControl():
		row.Role = Control
	}
	for _, round := range slices.Sorted(maps.Keys(rounds)) {
		row.values = append(row.values, rounds[round]...)
	}
	row.Values, row.Spread = len(row.values), stat.SpreadOf(row.values)
	for _, p := range []float64{0.95, 0.99, 0.999} {
		row.Tails = append(row.Tails, stat.TailOf(row.values, p))
	}
	return row
}

// compare takes the ratio; the verdict waits for the number of comparisons.
func compare(base runner.Key, values, baseline series) *Comparison {
	c := &Comparison{Baseline: base, Ratio: stat.RatioOf(stat.PairRounds(values, baseline))}
	if len(baseline) == 0 {
		c.Ratio.Warnings = []string{"the run has no baseline for it: " + base.String()}
	}
	c.Interval = c.Ratio.Interval(stat.Confidence)
	return c
}

// disturbedCells tells by cell what disturbed the host during its trials.
func disturbedCells(trials []runner.TrialRecord) map[runner.Key][]string {
	byCell := map[runner.Key][]runner.TrialRecord{}
	for _, t := range trials {
		k := t.Key.WithDefaults()
		byCell[k] = append(byCell[k], t)
	}
	all := map[runner.Key][]string{}
	for k, trials := range byCell {
		for _, d := range trustOf(trials).Reasons() {
			all[k] = append(all[k], d.Name)
		}
	}
	return all
}

// breakdowns sums up the phases of each cell that has them.
func breakdowns(c cells, label map[runner.Key]string) []Breakdown {
	median := func(name string, k runner.Key) (float64, bool) {
		rounds, ok := c.series[quantity{name, "s", runner.Lower}][k]
		if !ok {
			return 0, false
		}
		return stat.Median(stat.RoundMedians(rounds)), true
	}
	var all []Breakdown
	for _, k := range c.keys {
		b := Breakdown{Key: k, Label: label[k]}
		for _, name := range c.phases[k] {
			if m, ok := median(name, k); ok {
				b.Operations = append(b.Operations, Operation{Name: name[len(phasePrefix):], Median: m})
				b.Sum += max(0, m)
			}
		}
		for i := range b.Operations {
			if b.Sum > 0 {
				b.Operations[i].Share = max(0, b.Operations[i].Median) / b.Sum
			}
		}
		b.Whole, _ = median("start_to_exit", k)
		if len(b.Operations) > 0 && !k.IsControl() {
			all = append(all, b)
		}
	}
	return all
}
