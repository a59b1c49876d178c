package reports

import (
	"fmt"
	"html/template"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"plimsoll/profiles"
	"plimsoll/runner"
)

// scaling is how a metric of the storages grows with a parameter.
type scaling struct {
	metric Metric
	param  profiles.Param
	lines  []line
}

// line is one storage's.
type line struct {
	storage string
	colour  int // of the palette
	points  []growth
}

// growth is a median at a value of the parameter.
type growth struct{ at, median float64 }

// scalings finds the metrics of a workload on storage that were measured at
// several values of a parameter, the other parameters being at their defaults.
func scalings(w Workload, palette map[string]int) []scaling {
	known, _ := profiles.FindWorkload(w.Name)
	var all []scaling
	for _, m := range w.Metrics {
		for _, p := range known.Params {
			s := scaling{metric: m, param: p}
			for _, row := range m.Rows {
				at, err := profiles.ParseBytes(row.Key.Param(p.Name))
				if row.Role == Control || err != nil || at <= 0 || row.Summary.Median <= 0 || !alone(row.Key, known.Params, p.Name) {
					continue
				}
				name := contender(row.Key)
				i := slices.IndexFunc(s.lines, func(l line) bool { return l.storage == name })
				if i < 0 {
					i, s.lines = len(s.lines), append(s.lines, line{storage: name, colour: palette[name]})
				}
				s.lines[i].points = append(s.lines[i].points, growth{float64(at), row.Summary.Median})
			}
			s.lines = slices.DeleteFunc(s.lines, func(l line) bool { return len(l.points) < 2 })
			if len(s.lines) > 0 {
				all = append(all, s)
			}
		}
	}
	return all
}

// alone reports whether no parameter but the one named is off its default.
func alone(k runner.Key, params []profiles.Param, name string) bool {
	return !slices.ContainsFunc(params, func(p profiles.Param) bool { return p.Name != name && k.Param(p.Name) != p.Default })
}

const (
	scalingHeight = 260 // points
	labelRoom     = 0.4 // of the lines' width: right of them, for their names
	labelGap      = 12  // between two names
)

// SVG draws the lines on two logarithmic axes: a cost that is proportional to
// the parameter has a slope of one, one that does not depend on it is level.
func (s scaling) SVG(label string) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = nil
	xLo, xHi, yLo, yHi := math.Inf(1), 0.0, math.Inf(1), 0.0
	for _, l := range s.lines {
		for _, g := range l.points {
			xLo, xHi = min(xLo, g.at), max(xHi, g.at)
			yLo, yHi = min(yLo, g.median), max(yHi, g.median)
		}
	}
	room := math.Pow(max(yHi/yLo, 10), 0.06)
	yLo, yHi = yLo/room, yHi*room
	unit := "1"
	if s.param.Kind == profiles.Bytes {
		unit = "B"
	}
	for _, a := range []struct {
		axis   *plot.Axis
		lo, hi float64
		ticks  []plot.Tick
	}{{&p.X, xLo, xHi * math.Pow(xHi/xLo, labelRoom), s.levels(unit)}, {&p.Y, yLo, yHi, logTicks(yLo, yHi, s.metric.Unit)}} {
		a.axis.Min, a.axis.Max = a.lo, a.hi
		a.axis.Scale = plot.LogScale{}
		a.axis.Padding = 0
		a.axis.LineStyle.Width = 0
		a.axis.Tick.LineStyle.Width = 0
		a.axis.Tick.Length = 0
		a.axis.Tick.Marker = plot.ConstantTicks(a.ticks)
		a.axis.Tick.Label = textStyle(mutedColour, 10.5, draw.XCenter)
	}
	p.X.Tick.Label.YAlign = draw.YTop
	p.Y.Tick.Label.XAlign = draw.XRight
	p.Add(s)
	return drawSVG(p, scalingHeight, label)
}

// levels are the parameter's values, as the profile writes them.
func (s scaling) levels(unit string) []plot.Tick {
	var ticks []plot.Tick
	for _, l := range s.lines {
		for _, g := range l.points {
			if !slices.ContainsFunc(ticks, func(t plot.Tick) bool { return t.Value == g.at }) {
				text := fmt.Sprint(g.at)
				if unit == "B" {
					text = profiles.FormatBytes(int64(g.at))
				}
				ticks = append(ticks, plot.Tick{Value: g.at, Label: text})
			}
		}
	}
	return ticks
}

// last is the highest value of the parameter.
func (s scaling) last() float64 {
	highest := 0.0
	for _, l := range s.lines {
		for _, g := range l.points {
			highest = max(highest, g.at)
		}
	}
	return highest
}

// Plot implements plot.Plotter. Each line's name stands at its end, moved
// apart from its neighbours'.
func (s scaling) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	end := toX(s.last())
	grid := draw.LineStyle{Color: gridColour, Width: 0.7}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		c.StrokeLine2(grid, c.Min.X, toY(t.Value), end, toY(t.Value))
	}
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		c.StrokeLine2(grid, toX(t.Value), c.Min.Y, toX(t.Value), c.Max.Y)
	}
	type name struct {
		of line
		y  vg.Length
	}
	var names []name
	for _, l := range s.lines {
		var path []vg.Point
		for _, g := range l.points {
			path = append(path, vg.Point{X: toX(g.at), Y: toY(g.median)})
		}
		style := draw.LineStyle{Color: solid(l.colour), Width: 1.6}
		c.StrokeLines(style, path)
		var dots vg.Path
		for _, at := range path {
			dots.Move(at)
			dots.Line(at)
		}
		style.Width = 5
		c.SetLineStyle(style)
		c.Stroke(dots)
		names = append(names, name{l, path[len(path)-1].Y})
	}
	slices.SortStableFunc(names, func(a, b name) int { return int(math.Copysign(1, float64(b.y-a.y))) })
	top := c.Max.Y + labelGap
	for i, n := range names {
		// As near its line as the names above, and room for those below, let it.
		y := max(min(n.y, top-labelGap), c.Min.Y+labelGap*vg.Length(len(names)-1-i))
		c.StrokeLine2(draw.LineStyle{Color: solid(n.of.colour), Width: 0.7}, end+3, n.y, end+11, y)
		c.FillText(textStyle(inkColour, 10, draw.XLeft), vg.Point{X: end + 13, Y: y}, n.of.storage)
		top = y
	}
}
