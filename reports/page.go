package reports

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"plimsoll/profiles"
	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// page is what the template shows: the report, and its drawings.
type page struct {
	Report
	Style  template.CSS
	Views  []runView
	budget plotBudget
}

func (p page) Title() string {
	if len(p.Runs) == 1 {
		return "What a container costs on " + p.Views[0].HostName()
	}
	return fmt.Sprintf("What a container costs: %s side by side", counted(len(p.Runs), "run"))
}

// runView is a run with what only a page needs of it.
type runView struct {
	Run
	Number  int
	Tables  []tableView
	Plots   []plotsView
	Omitted int         // metrics whose distribution is not drawn
	Growth  []plotsView // of the workloads on storage, with their parameters
	Starts  []startView
	Noise   []noiseView
	Colours map[string]int // of the palette, by runtime
}

type tableView struct {
	Workload
	Axis ratioAxis
}

type plotsView struct {
	Name    string // of the workload
	Figures []figureView
}

type figureView struct {
	Title         string
	Better        runner.Better
	SVG           template.HTML
	Drawn, Values int
	Cells         int // left out
}

type startView struct {
	Breakdown
	Workload string
	Steps    []stepView
}

type stepView struct {
	Operation
	Begin float64 // share of the sum before it
}

type noiseView struct {
	Workload, Metric string
	Interval         *stat.Interval
	Ratio            float64
	Floor            float64
}

func newRunView(run Run, number int, budget *plotBudget) runView {
	v := runView{Run: run, Number: number, Colours: palette(run)}
	for _, w := range run.Workloads {
		v.Tables = append(v.Tables, tableView{w, newRatioAxis(w)})
		plots := plotsView{Name: w.Name}
		for _, m := range w.Metrics {
			if budget.take() {
				plots.Figures = append(plots.Figures, newFigure(w, m, v.Colours, budget.perRow))
			} else {
				v.Omitted++
			}
			for _, row := range m.Rows {
				if interval := row.controlInterval(); interval != nil {
					v.Noise = append(v.Noise, noiseView{w.Name, m.Name, interval, row.Comparison.Ratio.Value, stat.Deviation(*interval)})
				}
			}
		}
		if len(plots.Figures) > 0 {
			v.Plots = append(v.Plots, plots)
		}
		if growth := newGrowth(w, v.Colours); len(growth.Figures) > 0 {
			v.Growth = append(v.Growth, growth)
		}
		for _, b := range w.Breakdowns {
			v.Starts = append(v.Starts, newStart(w.Name, b))
		}
	}
	return v
}

func newFigure(w Workload, m Metric, colours map[string]int, perRow int) figureView {
	f := figureView{Title: findMetric(m.Name).title, Better: m.Better, Cells: max(0, len(m.Rows)-plotRows)}
	d := newDistribution(m, colours, perRow)
	for _, s := range d.strips {
		f.Drawn += len(s.points)
		f.Values += s.row.Values
	}
	svg, err := d.SVG(fmt.Sprintf("%s of %s by cell; the table above gives the medians", f.Title, w.Name))
	if err != nil {
		svg = template.HTML("<p>" + template.HTMLEscapeString(err.Error()) + "</p>")
	}
	f.SVG = svg
	return f
}

func newGrowth(w Workload, colours map[string]int) plotsView {
	v := plotsView{Name: w.Name}
	for _, s := range scalings(w, colours) {
		f := figureView{Title: findMetric(s.metric.Name).title + " by " + s.param.Name, Better: s.metric.Better}
		svg, err := s.SVG(f.Title + "; the tables give the medians")
		if err != nil {
			svg = template.HTML("<p>" + template.HTMLEscapeString(err.Error()) + "</p>")
		}
		f.SVG = svg
		v.Figures = append(v.Figures, f)
	}
	return v
}

func newStart(workload string, b Breakdown) startView {
	s := startView{Breakdown: b, Workload: workload}
	begin := 0.0
	for _, o := range b.Operations {
		s.Steps = append(s.Steps, stepView{o, begin})
		begin += o.Share
	}
	return s
}

// plotBudget keeps a page small: so many plots, and so many dots in all.
type plotBudget struct{ plots, perRow int }

func newPlotBudget(r Report) plotBudget {
	const plots, dots = 48, 16000
	rows := 0
	for _, run := range r.Runs {
		for _, w := range run.Workloads {
			for _, m := range w.Metrics {
				rows += min(len(m.Rows), plotRows)
			}
		}
	}
	return plotBudget{plots, min(max(dots/max(rows, 1), 24), 150)}
}

func (b *plotBudget) take() bool {
	b.plots--
	return b.plots >= 0
}

// palette gives each contender of a run a colour: the bare process and the
// plain copy, and isolate, their own, the others in order of appearance.
func palette(run Run) map[string]int {
	colours := map[string]int{"bare": 0, profiles.PlainCopy: 0, "isolate": 1}
	next := 2
	for _, w := range run.Workloads {
		for _, m := range w.Metrics {
			for _, row := range m.Rows {
				if _, ok := colours[contender(row.Key)]; !ok {
					colours[contender(row.Key)] = next
					next = 2 + (next-1)%6 // c2 to c7, then again
				}
			}
		}
	}
	return colours
}

func (v runView) HostName() string {
	if v.Host == "" {
		return "this host"
	}
	return v.Host
}

// Colour is the palette's variable for a row.
func (v runView) Colour(row Row) string { return fmt.Sprintf("c%d", v.Colours[contender(row.Key)]) }

// Who a table's rows are about.
func (v tableView) Who() string { return v.who() }

// Floor reports whether the run has figures of isolate.
func (v runView) Floor() bool { return v.hasFloor() }

// Tailed lists the rows that have a tail to show.
func (v runView) Tailed() []tailView {
	var all []tailView
	for _, w := range v.Workloads {
		for _, m := range w.Metrics {
			for _, row := range m.Rows {
				if row.Role != Control && row.tails() > 0 {
					all = append(all, tailView{w.Name, m, row})
				}
			}
		}
	}
	return all
}

type tailView struct {
	Workload string
	Metric   Metric
	Row      Row
}

// CommandLine is the command as a shell takes it.
func (v runView) CommandLine() string {
	var parts []string
	for _, arg := range v.Command {
		parts = append(parts, shellQuote(arg))
	}
	return strings.Join(parts, " ")
}

func shellQuote(arg string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=,+@%", r)
	}
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// ProfileText is the resolved profile, indented.
func (v runView) ProfileText() (string, error) {
	b, err := json.MarshalIndent(v.Profile, "", "  ")
	return string(b), err
}

// Meanings lists the levels' meanings, factor by factor.
func (v runView) Meanings() []meaning {
	var all []meaning
	for _, factor := range slices.Sorted(maps.Keys(v.Levels)) {
		for _, level := range slices.Sorted(maps.Keys(v.Levels[factor])) {
			all = append(all, meaning{factor, level, meaningText(v.Levels[factor][level])})
		}
	}
	return all
}

type meaning struct{ Factor, Level, Text string }
