package reports

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot"
)

// valueAxis is an axis of values: logarithmic when they are wide apart.
type valueAxis struct {
	lo, hi float64
	log    bool
	ticks  []plot.Tick
}

// newValueAxis spans lo to hi with some room.
func newValueAxis(lo, hi float64, unit string) valueAxis {
	a := valueAxis{lo: lo, hi: hi, log: lo > 0 && hi/lo > 8}
	if a.log {
		room := math.Pow(hi/lo, 0.03)
		a.lo, a.hi = lo/room, hi*room
		a.ticks = a.fitting(logTicks(a.lo, a.hi, unit))
		return a
	}
	room := 0.04 * (hi - lo)
	if size := math.Max(math.Abs(lo), math.Abs(hi)); hi-lo <= 1e-9*size { // all equal, or nearly
		if room = 0.05 * size; size == 0 {
			room = 1
		}
	}
	a.lo, a.hi = lo-room, hi+room
	a.ticks = a.fitting(linearTicks(a.lo, a.hi, unit))
	return a
}

// at is the position of a value on the axis, 0 to 1.
func (a valueAxis) at(v float64) float64 {
	if a.log {
		return math.Log(v/a.lo) / math.Log(a.hi/a.lo)
	}
	return (v - a.lo) / (a.hi - a.lo)
}

// logTicks are powers of ten, with 2 and 5 between them where there is room.
func logTicks(lo, hi float64, unit string) []plot.Tick {
	factors := []float64{1, 2, 5}
	decades := math.Log10(hi / lo)
	every := 1.0
	switch {
	case decades > 6:
		every, factors = math.Ceil(decades/5), factors[:1]
	case decades > 1.7:
		factors = factors[:1]
	}
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e += every {
		for _, f := range factors {
			if v := f * math.Pow(10, e); v >= lo && v <= hi {
				ticks = append(ticks, plot.Tick{Value: v, Label: tickText(v, scaleOf(v, unit))})
			}
		}
	}
	return ticks
}

// linearTicks are three to five round values in one scale.
func linearTicks(lo, hi float64, unit string) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10(hi-lo)))
	for _, f := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if (hi-lo)/(step*f) <= 5 {
			step *= f
			break
		}
	}
	s := scaleOf(math.Max(math.Abs(lo), math.Abs(hi)), unit)
	var ticks []plot.Tick
	for i := math.Ceil(lo / step); i*step <= hi; i++ {
		v := i*step + 0 // a negative zero becomes a zero
		ticks = append(ticks, plot.Tick{Value: v, Label: tickText(v, s)})
	}
	return ticks
}

// fitting takes the labels from ticks so near an end that they would be cut.
func (a valueAxis) fitting(ticks []plot.Tick) []plot.Tick {
	for i, t := range ticks {
		half := 3.2 * float64(utf8.RuneCountInString(t.Label)) / plotWidth
		if at := a.at(t.Value); at < half || at > 1-half {
			ticks[i].Label = ""
		}
	}
	return ticks
}

func tickText(v float64, s scale) string {
	return strings.TrimSpace(strconv.FormatFloat(v/s.factor, 'g', 4, 64) + " " + s.unit)
}
