package reports

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"plimsoll/reports/stat"
)

// scale is a power of ten of a unit, and how it is written.
type scale struct {
	factor float64
	unit   string
}

var prefixes = []struct {
	factor float64
	name   string
}{
	{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"},
	{1, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}, {1e-12, "p"},
}

// scaleOf chooses the SI prefix for a value. Only seconds have parts: nobody
// speaks of a millibyte.
func scaleOf(v float64, unit string) scale {
	name := unit
	if unit == "1" {
		name = ""
	}
	v = math.Abs(v)
	// 999.6 is written 1.00 k: the prefix is chosen after rounding.
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64)
	for _, p := range prefixes {
		switch {
		case unit == "s" && p.factor > 1, unit != "s" && p.factor < 1:
			continue
		case v >= p.factor:
			return scale{p.factor, p.name + name}
		}
	}
	if unit == "s" && v > 0 {
		return scale{1e-12, "ps"}
	}
	return scale{1, name}
}

// number writes a value in the scale, without its unit.
func (s scale) number(v float64) string { return significant(v / s.factor) }

// quantityText writes a value with three significant digits and a prefix:
// "1.42 ms", "35.6 GB/s".
func quantityText(v float64, unit string) string {
	s := scaleOf(v, unit)
	return strings.TrimSpace(s.number(v) + " " + s.unit)
}

// intervalText writes an interval in the scale of the value that it encloses.
func intervalText(i *stat.Interval, v float64, unit string) string {
	if i == nil {
		return ""
	}
	s := scaleOf(v, unit)
	return "[" + s.number(i.Lo) + ", " + s.number(i.Hi) + "]"
}

// ratioText writes a ratio: "6.12×".
func ratioText(v float64) string { return significant(v) + "×" }

// ratioInterval writes the interval of a ratio.
func ratioInterval(i *stat.Interval) string {
	if i == nil {
		return ""
	}
	return "[" + significant(i.Lo) + ", " + significant(i.Hi) + "]"
}

// percent writes a fraction with two significant digits, whole from 10 up.
func percent(fraction float64) string {
	p := 100 * fraction
	switch a := math.Abs(p); {
	case a == 0:
		return "0%"
	case a < 0.1:
		return "<0.1%"
	case a < 9.95:
		return strings.TrimSuffix(strconv.FormatFloat(p, 'f', 1, 64), ".0") + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}

// significant writes three significant digits without an exponent, as long as
// the value is between a millionth and a million; trailing zeros stay, since
// they are digits.
func significant(v float64) string {
	a := math.Abs(v)
	if a == 0 {
		return "0"
	}
	if a < 1e-6 || a >= 1e6 {
		return strconv.FormatFloat(v, 'e', 2, 64)
	}
	exponent := math.Floor(math.Log10(a))
	decimals := max(0, 2-int(exponent))
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	// 9.999 has become 10.000: one digit too many.
	if rounded, _ := strconv.ParseFloat(text, 64); decimals > 0 && math.Abs(rounded) >= math.Pow(10, exponent+1) {
		text = strconv.FormatFloat(v, 'f', decimals-1, 64)
	}
	return text
}

// counted writes a number with its noun: "1 trial", "12 trials".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
