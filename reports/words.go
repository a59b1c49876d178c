package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// sentence says in words how name, which row is about, compares.
func sentence(name string, m Metric, row Row, rules Rules) string {
	c := row.Comparison
	if c.Ratio.Value <= 0 {
		return fmt.Sprintf("no ratio: %s", strings.Join(c.Ratio.Warnings, "; "))
	}
	figures := row.figures(m)
	if base, ok := m.row(c.Baseline); ok {
		figures += " against " + quantityText(base.Summary.Median, m.Unit)
	}
	ratio := strings.TrimSpace(ratioText(c.Ratio.Value) + " " + ratioInterval(c.Interval))
	does := findMetric(m.Name).does
	if does == "" {
		does = "shows " + findMetric(m.Name).title
	}
	switch {
	case row.Role == Control && c.Interval == nil:
		return fmt.Sprintf("the baseline against itself: %s; too few rounds to tell the noise", ratio)
	case row.Role == Control:
		return fmt.Sprintf("the baseline against itself: %s, a noise floor of %s", ratio, percent(stat.Deviation(*c.Interval)))
	case c.Verdict == stat.Same:
		return fmt.Sprintf("%s %s as %s does, within %s: %s", name, does, reference(row.Key), percent(rules.Margin), figures)
	case c.Verdict == stat.Inconclusive:
		return fmt.Sprintf("%s %s %s than %s by its median, but %s: %s, ratio %s", name, does,
			difference(m, c.Ratio.Value), reference(row.Key), doubt(c, rules), figures, ratio)
	}
	return fmt.Sprintf("%s %s %s than %s: %s", name, does, difference(m, c.Ratio.Value), reference(row.Key), figures)
}

// subject is who does it: a runtime, and in brackets its levels.
func subject(row Row) string {
	name, levels, ok := strings.Cut(row.Label, " ")
	if !ok {
		return name
	}
	return name + " (" + levels + ")"
}

func (row Row) figures(m Metric) string {
	return strings.TrimSpace(quantityText(row.Summary.Median, m.Unit) + " " + intervalText(row.Summary.Interval, row.Summary.Median, m.Unit))
}

func (m Metric) row(k runner.Key) (Row, bool) {
	i := slices.IndexFunc(m.Rows, func(r Row) bool { return r.Key == k })
	if i < 0 {
		return Row{}, false
	}
	return m.Rows[i], true
}

// difference says a ratio in words: as a factor from 2 up, in per cent below.
func difference(m Metric, ratio float64) string {
	up, down := "more", "less"
	switch {
	case m.Unit == "s":
		up, down = "slower", "faster"
	case strings.HasSuffix(m.Unit, "/s"):
		up, down = "faster", "slower"
	}
	word := up
	if ratio < 1 {
		word = down
	}
	if factor := math.Max(ratio, 1/ratio); factor >= 2 {
		return ratioText(factor) + " " + word
	}
	if ratio == 1 {
		return "no " + up
	}
	return percent(math.Abs(ratio-1)) + " " + word
}

// doubt says why a comparison is not conclusive.
func doubt(c *Comparison, rules Rules) string {
	switch {
	case c.Judged == nil:
		return counted(c.Ratio.Rounds, "round") + " cannot tell"
	case c.Floor != nil && *c.Floor > rules.Margin:
		return fmt.Sprintf("not clearly beyond the noise floor of %s", percent(*c.Floor))
	case c.Rounds > c.Ratio.Rounds:
		return fmt.Sprintf("about %d rounds would be needed to tell", c.Rounds)
	}
	return fmt.Sprintf("too near the margin of %s to tell", percent(rules.Margin))
}

// headline answers in a few sentences: what a start costs, what running
// costs, and whether to believe it.
func headline(run Run) []string {
	if len(run.Workloads) == 0 {
		return []string{nothing(run)}
	}
	all := startHeadline(run)
	if s := runningHeadline(run); s != "" {
		all = append(all, s)
	}
	if run.Storage != nil {
		all = append(all, run.Storage.headline())
	}
	if len(all) == 0 {
		all = append(all, "Nothing could be compared: the run has no bare process to hold the containers against.")
	}
	if !run.Trust.Trusted {
		all = append(all, "Do not rely on these figures: the host was not quiet.")
	}
	if run.Trials.Failed > 0 {
		all = append(all, fmt.Sprintf("%d of %s failed.", run.Trials.Failed, counted(run.Trials.Done, "trial")))
	}
	return all
}

func nothing(run Run) string {
	switch {
	case run.Trials.Failed > 0:
		return fmt.Sprintf("Nothing was measured: %s failed.", counted(run.Trials.Failed, "trial"))
	case len(run.Skips) > 0:
		return fmt.Sprintf("Nothing was measured: %s skipped, for this host cannot run them.", counted(len(run.Skips), "cell"))
	}
	return "Nothing was measured: the journal holds no samples."
}

// startHeadline says for each runtime what a start costs: its cell with the
// fewest levels, that is the plain full container, by the first metric.
func startHeadline(run Run) []string {
	i := slices.IndexFunc(run.Workloads, func(w Workload) bool { return w.Name == "startup" && len(w.Metrics) > 0 })
	if i < 0 {
		return nil
	}
	m := run.Workloads[i].Metrics[0]
	plain := map[string]Row{}
	var order []string
	for _, row := range m.Rows {
		if row.Role != Cell || row.Comparison == nil || row.Comparison.Ratio.Value <= 0 {
			continue
		}
		other, ok := plain[row.Key.Runtime]
		if !ok {
			order = append(order, row.Key.Runtime)
		}
		if !ok || len(levels(row.Key)) < len(levels(other.Key)) {
			plain[row.Key.Runtime] = row
		}
	}
	var all []string
	for _, runtime := range order {
		name := runtime
		if runtime == "isolate" {
			name = "isolate, the floor,"
		}
		all = append(all, sentence(name, m, plain[runtime], run.Rules)+".")
	}
	return all
}

// runningHeadline counts the verdicts on all that is not a start, and names
// the worst.
func runningHeadline(run Run) string {
	count := map[stat.Verdict]int{}
	total, worst, text := 0, 1.0, ""
	for _, w := range run.Workloads {
		if w.Name == "startup" || w.onStorage() {
			continue
		}
		for _, m := range w.Metrics {
			for _, row := range m.Rows {
				c := row.Comparison
				if c == nil || c.Verdict == "" {
					continue
				}
				total++
				count[c.Verdict]++
				if factor := max(c.Ratio.Value, 1/c.Ratio.Value); c.Verdict == stat.Worse && factor > worst {
					worst, text = factor, fmt.Sprintf(", at worst %s (%s, %s)", difference(m, c.Ratio.Value), subject(row), strings.ToLower(findMetric(m.Name).title))
				}
			}
		}
	}
	if total == 0 {
		return ""
	}
	var parts []string
	for _, v := range []struct {
		verdict stat.Verdict
		words   string
	}{
		{stat.Same, "the same within " + percent(run.Rules.Margin)},
		{stat.Worse, "worse" + text},
		{stat.Better, "better"},
		{stat.Inconclusive, "inconclusive"},
	} {
		if n := count[v.verdict]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v.words))
		}
	}
	return fmt.Sprintf("Once started, of %s with a bare process: %s.", counted(total, "comparison"), strings.Join(parts, "; "))
}

// noiseLine sums up the A/A controls.
func noiseLine(run Run) string {
	var floors []string
	for _, w := range run.Workloads {
		for _, m := range w.Metrics {
			highest := -1.0
			for _, row := range m.Rows {
				if interval := row.controlInterval(); interval != nil {
					highest = max(highest, stat.Deviation(*interval))
				}
			}
			if highest >= 0 {
				floors = append(floors, m.Name+" "+percent(highest))
			}
		}
	}
	if len(floors) == 0 {
		return "Noise floor: unknown, for want of an A/A control with rounds enough."
	}
	return "Noise floor, from the baseline run against itself (A/A): " + strings.Join(floors, ", ") + "."
}

// verdictLine says by what rule verdicts were given.
func verdictLine(run Run) string {
	return fmt.Sprintf("Intervals hold with %s confidence. Verdicts are read off wider ones, %s, so that all %d hold together: "+
		"the same is within %s; better and worse are beyond both that and the noise floor; the rest is inconclusive.",
		percent(run.Rules.Confidence), confidence(run.Rules.Corrected), run.Rules.Comparisons, percent(run.Rules.Margin))
}

// confidence writes a level with as many nines as it has.
func confidence(level float64) string { return fmt.Sprintf("%.4g%%", 100*level) }

// quietLine says how quiet the host was, and by what rule that is judged.
func quietLine(run Run) string {
	if len(run.Trust.Disturbances) == 0 {
		return "Host: the journal does not tell how quiet it was."
	}
	var parts, limits []string
	for _, d := range run.Trust.Disturbances {
		parts = append(parts, d.Name+" "+percent(d.Median))
		limits = append(limits, d.Name+" "+percent(d.Limit))
	}
	state := "quiet"
	if !run.Trust.Trusted {
		state = "not quiet, the figures are untrusted"
	}
	return fmt.Sprintf("Host: %s (median trial: %s; untrusted above %s).", state, strings.Join(parts, ", "), strings.Join(limits, ", "))
}
