package reports

import (
	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// judge gives every comparison its verdict, and tells by what rules. It is
// the second pass over the tables: the interval behind a verdict is the wider
// the more verdicts there are.
func judge(workloads []Workload) Rules {
	rules := Rules{Margin: Margin, Confidence: stat.Confidence}
	each := func(do func(Metric, *Row)) {
		for _, w := range workloads {
			for _, m := range w.Metrics {
				for i := range m.Rows {
					if c := m.Rows[i].Comparison; c != nil && m.Rows[i].Role == Cell && c.Ratio.Value > 0 {
						do(m, &m.Rows[i])
					}
				}
			}
		}
	}
	each(func(Metric, *Row) { rules.Comparisons++ })
	rules.Corrected = stat.Corrected(rules.Confidence, rules.Comparisons)
	each(func(m Metric, row *Row) {
		c := row.Comparison
		c.Floor = floor(m, c.Baseline)
		rule := stat.Rule{Margin: rules.Margin, HigherBetter: m.Better == runner.Higher}
		if c.Floor != nil {
			rule.Floor = *c.Floor
		}
		c.Judged = c.Ratio.Interval(rules.Corrected)
		c.Verdict = stat.Judge(c.Judged, rule)
		if c.Verdict == stat.Inconclusive && rule.Floor <= rule.Margin {
			c.Rounds = roundsNeeded(c, rules)
		}
	})
	for _, w := range workloads {
		for _, m := range w.Metrics {
			for i := range m.Rows {
				if c := m.Rows[i].Comparison; c != nil {
					c.Text = sentence(subject(m.Rows[i]), m, m.Rows[i], rules)
				}
			}
		}
	}
	return rules
}

// floor is what the A/A control of a baseline shows of a metric: how far the
// interval of its ratio reaches from 1. A baseline without a control takes
// the highest floor of the metric's others; nil when no control can tell.
func floor(m Metric, base runner.Key) *float64 {
	var highest *float64
	for _, row := range m.Rows {
		interval := row.controlInterval()
		if interval == nil {
			continue
		}
		f := stat.Deviation(*interval)
		if row.Comparison.Baseline == base {
			return &f
		}
		if highest == nil || f > *highest {
			highest = &f
		}
	}
	return highest
}

// roundsNeeded estimates how many rounds would let the interval fit between
// the ratio and the nearest bound of the margin; 0 where no number in reach
// would, because the ratio is next to the bound.
func roundsNeeded(c *Comparison, rules Rules) int {
	deviation := max(c.Ratio.Value, 1/c.Ratio.Value) - 1
	room := (1+max(deviation, rules.Margin))/(1+min(deviation, rules.Margin)) - 1
	n := c.Ratio.RoundsFor(rules.Corrected, room)
	if n > 20*c.Ratio.Rounds {
		return 0
	}
	return n
}

// controlInterval is the interval of an A/A control's ratio to the baseline;
// nil for another row, and where the baseline has no samples of the metric.
func (row Row) controlInterval() *stat.Interval {
	if row.Role != Control || row.Comparison == nil {
		return nil
	}
	return row.Comparison.Interval
}
