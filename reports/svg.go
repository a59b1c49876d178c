package reports

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Small drawings are written here: a few shapes whose x are per cent of the
// width, so that they stretch with the page and text in them does not. Colours
// are the style sheet's variables. Every number is ours, so nothing needs escaping.

// ratioAxis is a logarithmic axis of ratios.
type ratioAxis struct {
	lo, hi float64 // logarithms
	Ticks  []float64
}

// newRatioAxis spans the intervals of all comparisons of a workload, and the
// margin.
func newRatioAxis(w Workload) ratioAxis {
	a := ratioAxis{lo: -math.Log1p(1.5 * Margin), hi: math.Log1p(1.5 * Margin)}
	for _, m := range w.Metrics {
		for _, row := range m.Rows {
			if c := row.Comparison; c != nil && c.Ratio.Value > 0 {
				low, high := c.Ratio.Value, c.Ratio.Value
				if c.Interval != nil {
					low, high = c.Interval.Lo, c.Interval.Hi
				}
				a.lo, a.hi = min(a.lo, math.Log(low)), max(a.hi, math.Log(high))
			}
		}
	}
	room := 0.04 * (a.hi - a.lo)
	a.lo, a.hi = a.lo-room, a.hi+room
	a.Ticks = a.ticks()
	return a
}

// ticks are ratios that a person would choose, at most eight.
func (a ratioAxis) ticks() []float64 {
	for _, step := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.25} {
		if n := (math.Exp(a.hi) - math.Exp(a.lo)) / step; n > 5.5 {
			continue
		}
		ticks := []float64{1}
		for r := 1 - step; r > 0 && math.Log(r) >= a.lo; r -= step {
			ticks = append([]float64{r}, ticks...)
		}
		for r := 1 + step; math.Log(r) <= a.hi; r += step {
			ticks = append(ticks, r)
		}
		return ticks
	}
	factors := []float64{1, 2, 5}
	if a.hi-a.lo > math.Log(60) {
		factors = []float64{1}
	}
	var ticks []float64
	for e := math.Floor(a.lo / math.Ln10); e <= a.hi/math.Ln10; e++ {
		for _, f := range factors {
			if r := f * math.Pow(10, e); math.Log(r) >= a.lo && math.Log(r) <= a.hi {
				ticks = append(ticks, r)
			}
		}
	}
	for every := 2; len(ticks) > 8; every++ { // very wide
		var fewer []float64
		for i := 0; i < len(ticks); i += every {
			fewer = append(fewer, ticks[i])
		}
		ticks = fewer
	}
	return ticks
}

// at is the position of a ratio, in per cent of the width.
func (a ratioAxis) at(ratio float64) float64 {
	return 100 * (math.Log(ratio) - a.lo) / (a.hi - a.lo)
}

// Scale draws the axis' numbers.
func (a ratioAxis) Scale() template.HTML {
	var b strings.Builder
	b.WriteString(`<svg class="scale" height="16" aria-hidden="true">`)
	for _, r := range a.Ticks {
		x := a.at(r)
		anchor := "middle"
		switch {
		case x < 4:
			anchor = "start"
		case x > 96:
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text x="%.2f%%" y="12" text-anchor="%s">%g×</text>`, x, anchor, roundTo(r, 4))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// Bar draws one ratio: a bar from 1, the interval as a whisker, and behind
// them the margin and the ticks.
func (a ratioAxis) Bar(row Row, colour string) template.HTML {
	c := row.Comparison
	if c == nil || c.Ratio.Value <= 0 {
		return ""
	}
	var b strings.Builder
	label := fmt.Sprintf("ratio %s", significant(c.Ratio.Value))
	if c.Interval != nil {
		label += fmt.Sprintf(", interval %s to %s", significant(c.Interval.Lo), significant(c.Interval.Hi))
	}
	fmt.Fprintf(&b, `<svg class="ratio" height="22" role="img" aria-label="%s" style="--c:var(--%s)">`, label, colour)
	low, high := a.at(1/(1+Margin)), a.at(1+Margin)
	fmt.Fprintf(&b, `<rect class="margin" x="%.2f%%" width="%.2f%%" height="22"/>`, low, high-low)
	for _, r := range a.Ticks {
		fmt.Fprintf(&b, `<line class="tick" x1="%.2f%%" x2="%.2[1]f%%" y2="22"/>`, a.at(r))
	}
	one, at := a.at(1), a.at(c.Ratio.Value)
	fmt.Fprintf(&b, `<line class="one" x1="%.2f%%" x2="%.2[1]f%%" y2="22"/>`, one)
	fmt.Fprintf(&b, `<rect class="bar" x="%.2f%%" width="%.2f%%" y="7" height="8"/>`, min(one, at), math.Abs(at-one))
	if c.Interval != nil {
		fmt.Fprintf(&b, `<line class="whisker" x1="%.2f%%" x2="%.2f%%" y1="11" y2="11"/>`, a.at(c.Interval.Lo), a.at(c.Interval.Hi))
	}
	fmt.Fprintf(&b, `<circle cx="%.2f%%" cy="11" r="4"/></svg>`, at)
	return template.HTML(b.String())
}

// waterfall draws one operation of a start where it begins and as long as it
// takes, both in per cent of the sum.
func waterfall(begin, length float64) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="fall" height="14" aria-hidden="true"><rect class="track" width="100%%" height="14"/>`+
		`<rect class="step" x="%.2f%%" width="%.2f%%" height="14"/></svg>`, 100*begin, 100*max(length, 0.002)))
}

func roundTo(v float64, digits int) float64 {
	p := math.Pow(10, float64(digits))
	return math.Round(v*p) / p
}
