package reports

import (
	"regexp"
	"testing"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// withHost gives the key a host, as a journal's keys have.
func withHost(k runner.Key, host string) runner.Key {
	k = k.WithDefaults()
	k.Host = host
	return k
}

func TestQuantityText(t *testing.T) {
	for _, test := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.00142, "s", "1.42 ms"},
		{0.000234, "s", "234 µs"},
		{0.0009996, "s", "1.00 ms"},
		{0.00099949, "s", "999 µs"},
		{3.2e-14, "s", "0.0320 ps"},
		{75, "s", "75.0 s"},
		{35.6e9, "B/s", "35.6 GB/s"},
		{7.512e9, "flop/s", "7.51 Gflop/s"},
		{999.6, "op/s", "1.00 kop/s"},
		{0.25, "op/s", "0.250 op/s"},
		{0, "s", "0 s"},
		{-0.0015, "s", "-1.50 ms"},
		{12345, "1", "12.3 k"},
		{0.5, "1", "0.500"},
		{16384, "B", "16.4 kB"},
		{9.999, "B", "10.0 B"},
	} {
		if got := quantityText(test.v, test.unit); got != test.want {
			t.Errorf("%v %s: %q, want %q", test.v, test.unit, got, test.want)
		}
	}
}

func TestIntervalText(t *testing.T) {
	for _, test := range []struct {
		i    *stat.Interval
		v    float64
		unit string
		want string
	}{
		{nil, 1, "s", ""},
		{&stat.Interval{Lo: 0.00138, Hi: 0.00147}, 0.00142, "s", "[1.38, 1.47]"},
		{&stat.Interval{Lo: 0.9e-3, Hi: 1.2e-3}, 1.0e-3, "s", "[0.900, 1.20]"},
	} {
		if got := intervalText(test.i, test.v, test.unit); got != test.want {
			t.Errorf("%v: %q, want %q", test.i, got, test.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for v, want := range map[float64]string{0: "0%", 0.0004: "<0.1%", 0.02: "2%", 0.047: "4.7%", 0.0996: "10%", 0.12: "12%", 1.5: "150%"} {
		if got := percent(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestDifference(t *testing.T) {
	for _, test := range []struct {
		unit  string
		ratio float64
		want  string
	}{
		{"s", 6.1, "6.10× slower"},
		{"s", 1.031, "3.1% slower"},
		{"s", 0.8, "20% faster"},
		{"B/s", 0.95, "5% slower"},
		{"B/s", 0.25, "4.00× slower"},
		{"op/s", 1.5, "50% faster"},
		{"B", 1.2, "20% more"},
		{"B", 0.4, "2.50× less"},
		{"s", 1, "no slower"},
	} {
		if got := difference(Metric{Unit: test.unit}, test.ratio); got != test.want {
			t.Errorf("%v of %s: %q, want %q", test.ratio, test.unit, got, test.want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for arg, want := range map[string]string{"quick": "quick", "--set": "--set", "factors.fleet=[1, 8]": "'factors.fleet=[1, 8]'", "it's": `'it'\''s'`, "": "''", "$(x)": "'$(x)'"} {
		if got := shellQuote(arg); got != want {
			t.Errorf("%q: %s, want %s", arg, got, want)
		}
	}
}
