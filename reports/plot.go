package reports

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	plotWidth = 380 // points; between a phone's width and a column's, so that text keeps its size
	rowHeight = 44
	plotRows  = 20 // most cells in one plot
)

// distribution is one plot: the values of each cell of a metric, one strip
// above another on a common axis.
type distribution struct {
	unit   string
	strips []strip
	axis   valueAxis
}

type strip struct {
	label  string
	colour int // of the palette
	row    Row
	points []point
}

// newDistribution draws at most perRow points of each cell.
func newDistribution(m Metric, palette map[string]int, perRow int) distribution {
	d := distribution{unit: m.Unit}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, row := range m.Rows[:min(plotRows, len(m.Rows))] {
		lo, hi = min(lo, row.Spread.Min), max(hi, row.Spread.Max)
		d.strips = append(d.strips, strip{label: row.Label, colour: palette[contender(row.Key)], row: row})
	}
	d.axis = newValueAxis(lo, hi, m.Unit)
	for i := range d.strips {
		d.strips[i].points = swarm(thin(d.strips[i].row.values, perRow), d.axis)
	}
	return d
}

// Colours that stand for the style sheet's variables while the plot is drawn:
// gonum writes a colour as #rrggbb, and the page knows light and dark.
var (
	inkColour   = color.RGBA{1, 3, 0, 255}
	mutedColour = color.RGBA{1, 3, 1, 255}
	gridColour  = color.RGBA{1, 3, 2, 255}
)

func solid(i int) color.Color { return color.RGBA{1, 2, uint8(i), 255} }
func tint(i int) color.Color  { return color.RGBA{1, 4, uint8(i), 255} }

var (
	placeholder = regexp.MustCompile(`#010[24][0-9A-Fa-f]{2}`)
	fontName    = regexp.MustCompile(`font-family:[^"]*?font-size`)
	header      = regexp.MustCompile(`(?s)^.*?<svg[^>]*>`)
	spaces      = regexp.MustCompile(`\s*\n\s*`)
)

// SVG draws the plot for the page: an element that scales with its container
// and takes colours and font from the style sheet.
func (d distribution) SVG(label string) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = nil
	p.HideY()
	p.Y.Min, p.Y.Max = 0, float64(len(d.strips))
	p.X.Min, p.X.Max = d.axis.lo, d.axis.hi
	if d.axis.log {
		p.X.Scale = plot.LogScale{}
	}
	p.X.Padding = 0
	p.X.LineStyle.Width = 0
	p.X.Tick.LineStyle.Width = 0
	p.X.Tick.Length = 0
	p.X.Tick.Marker = plot.ConstantTicks(d.axis.ticks)
	p.X.Tick.Label = textStyle(mutedColour, 10.5, draw.XCenter)
	p.X.Tick.Label.YAlign = draw.YTop
	p.Add(d)
	return drawSVG(p, vg.Length(rowHeight*len(d.strips)+24), label)
}

// drawSVG makes an element of a plot that was drawn with the colours that
// stand for the style sheet's.
func drawSVG(p *plot.Plot, height vg.Length, label string) (template.HTML, error) {
	canvas := vgsvg.NewWith(vgsvg.UseWH(plotWidth, height))
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("draw %s: %w", label, err)
	}
	svg := header.ReplaceAllString(b.String(), "")
	svg = fontName.ReplaceAllString(svg, "font-size")
	svg = strings.NewReplacer("#010300", "var(--ink)", "#010301", "var(--muted)", "#010302", "var(--line)").Replace(svg)
	svg = placeholder.ReplaceAllStringFunc(svg, func(s string) string {
		i, _ := strconv.ParseUint(s[5:], 16, 8)
		if s[4] == '4' {
			return fmt.Sprintf("var(--c%d);fill-opacity:.2", i)
		}
		return fmt.Sprintf("var(--c%d)", i)
	})
	svg = spaces.ReplaceAllString(svg, " ")
	return template.HTML(fmt.Sprintf(`<svg class="plot" viewBox="0 0 %d %g" role="img" aria-label="%s">`,
		plotWidth, height.Points(), template.HTMLEscapeString(label)) + svg), nil
}

func textStyle(c color.Color, size font.Length, align text.XAlignment) text.Style {
	return text.Style{
		Color: c, XAlign: align, YAlign: draw.YCenter,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Handler: text.Plain{Fonts: font.DefaultCache},
	}
}

// Plot implements plot.Plotter: for each strip its name and median, the
// middle half as a box, the median as a line, and the values as dots.
func (d distribution) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	grid := draw.LineStyle{Color: gridColour, Width: 0.7}
	for _, t := range d.axis.ticks {
		c.StrokeLine2(grid, toX(t.Value), c.Min.Y, toX(t.Value), c.Max.Y)
	}
	for i, s := range d.strips {
		top := toY(float64(len(d.strips) - i))
		name := s.label
		if runes := []rune(name); len(runes) > 46 {
			name = string(runes[:45]) + "…"
		}
		c.FillText(textStyle(inkColour, 11.5, draw.XLeft), vg.Point{X: c.Min.X, Y: top - 8}, name)
		c.FillText(textStyle(mutedColour, 11.5, draw.XRight), vg.Point{X: c.Max.X - 2, Y: top - 8}, quantityText(s.row.Summary.Median, d.unit))
		middle, half := top-29, vg.Length(9)
		q1, q3 := toX(s.row.Spread.Q1), toX(s.row.Spread.Q3)
		c.FillPolygon(tint(s.colour), []vg.Point{{X: q1, Y: middle - half}, {X: q3, Y: middle - half}, {X: q3, Y: middle + half}, {X: q1, Y: middle + half}})
		width := vg.Length(2.6)
		if len(s.points) <= 30 {
			width = 4.4
		}
		var dots vg.Path
		for _, pt := range s.points {
			at := vg.Point{X: toX(pt.value), Y: middle + half*vg.Length(0.9*pt.offset)}
			dots.Move(at)
			dots.Line(at) // of no length: with round caps, as the style sheet has them, a dot
		}
		c.SetLineStyle(draw.LineStyle{Color: solid(s.colour), Width: width})
		c.Stroke(dots)
		m := toX(s.row.Summary.Median)
		c.StrokeLine2(draw.LineStyle{Color: inkColour, Width: 1.6}, m, middle-half-1, m, middle+half+1)
	}
}

// point is a value, and how far off the strip's middle its dot is, -1 to 1.
type point struct{ value, offset float64 }

// thin keeps at most n values, evenly by rank, the smallest and the largest
// among them: the shape stays.
func thin(values []float64, n int) []float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) <= n {
		return sorted
	}
	kept := make([]float64, n)
	for i := range kept {
		kept[i] = sorted[i*(len(sorted)-1)/(n-1)]
	}
	return kept
}

// swarm spreads sorted values by how dense they lie, so that the cloud is
// wide where values are many (Sidiropoulos et al., "SinaPlot", Journal of
// Computational and Graphical Statistics 27, 2018). Offsets follow the van der
// Corput sequence: even, and the same each time.
func swarm(sorted []float64, axis valueAxis) []point {
	density := make([]float64, len(sorted))
	highest := 0.0
	const near = 0.012 // of the axis, either side
	lo, hi := 0, 0
	for i, v := range sorted {
		at := axis.at(v)
		for axis.at(sorted[lo]) < at-near {
			lo++
		}
		for hi < len(sorted) && axis.at(sorted[hi]) <= at+near {
			hi++
		}
		density[i] = float64(hi - lo)
		highest = max(highest, density[i])
	}
	points := make([]point, len(sorted))
	for i, v := range sorted {
		width := (density[i] - 1) / max(highest-1, 8)
		points[i] = point{v, (2*vanDerCorput(i+1) - 1) * min(width, 1)}
	}
	return points
}

// vanDerCorput mirrors the binary digits of i at the point: 1/2, 1/4, 3/4, 1/8, ...
func vanDerCorput(i int) float64 {
	v, step := 0.0, 0.5
	for ; i > 0; i >>= 1 {
		if i&1 == 1 {
			v += step
		}
		step /= 2
	}
	return v
}
