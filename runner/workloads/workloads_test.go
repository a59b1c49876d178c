package workloads

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"plimsoll/profiles"
	"plimsoll/runner"
)

const (
	lineFlops   = `{"metric":"flops","unit":"flop/s","better":"higher","value":7.5e9}` + "\n"
	lineSyscall = `{"metric":"syscall","unit":"s","better":"lower","value":1e-7}` + "\n"
)

func TestParseOutput(t *testing.T) {
	both := []Measurement{{"flops", "flop/s", runner.Higher, 7.5e9}, {"syscall", "s", runner.Lower, 1e-7}}
	for _, test := range []struct {
		name, output string
		want         []Measurement
		error        string
	}{
		{"complete", lineFlops + lineSyscall + `{"done":true,"measurements":2}` + "\n", both, ""},
		{"nothing measured", `{"done":true,"measurements":0}`, nil, ""},
		{"empty", "", nil, "ends before the workload was done"},
		{"cut between lines", lineFlops, both[:1], "ends before the workload was done"},
		{"cut in a line", lineFlops + lineSyscall[:30], both[:1], "ends before the workload was done"},
		{"a line lost", lineFlops + `{"done":true,"measurements":2}`, both[:1], "1 of 2 measurements"},
		{"more after the end", `{"done":true,"measurements":0}` + lineFlops, nil, "something follows"},
		{"not JSON", lineFlops + "panic: oops", both[:1], "invalid character"},
		{"no value", `{"metric":"flops","unit":"flop/s","better":"higher"}`, nil, "is not a measurement"},
		{"no unit", `{"metric":"flops","better":"higher","value":1}`, nil, "is not a measurement"},
		{"no direction", `{"metric":"flops","unit":"flop/s","better":"up","value":1}`, nil, "is not a measurement"},
		{"another object", `{}`, nil, "is not a measurement"},
	} {
		got, err := ParseOutput(strings.NewReader(test.output))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
		checkError(t, test.name, err, test.error)
	}
}

func FuzzParseOutput(f *testing.F) {
	f.Add([]byte(lineFlops + `{"done":true,"measurements":1}`))
	f.Add([]byte(`{"done":true}{`))
	f.Fuzz(func(t *testing.T, output []byte) {
		made, err := ParseOutput(bytes.NewReader(output))
		if err != nil {
			return
		}
		var again bytes.Buffer
		lines := json.NewEncoder(&again)
		for _, m := range made {
			lines.Encode(m)
		}
		lines.Encode(doneLine{true, len(made)})
		second, err := ParseOutput(&again)
		if err != nil || !cmp.Equal(made, second) {
			t.Errorf("%v, written again, was read as %v, %v", made, second, err)
		}
	})
}

func TestParseOptions(t *testing.T) {
	for _, test := range []struct {
		name   string
		params map[string]string
		want   options
		error  string
	}{
		{"cpu", nil, options{part: "all", duration: 100 * time.Millisecond, n: 500}, ""},
		{"memory", nil, options{part: "all", duration: 100 * time.Millisecond, size: 128 << 20}, ""},
		{"io", nil, options{part: "all", duration: 100 * time.Millisecond, size: 64 << 20, block: 4096}, ""},
		{"io", map[string]string{"part": "rand_read", "block": "1MiB", "direct": "true", "size": "1GiB", "duration": "1m0s"},
			options{part: "rand_read", duration: time.Minute, size: 1 << 30, block: 1 << 20, direct: true}, ""},
		{"startup", nil, options{}, "run workload startup: there is none of that name"},
		{"cup", nil, options{}, "run workload cup: there is none of that name"},
		{"cpu", map[string]string{"thread": "2"}, options{}, `it has no parameter "thread"`},
		{"cpu", map[string]string{"size": "1GiB"}, options{}, `it has no parameter "size"`},
		{"cpu", map[string]string{"part": "stream"}, options{}, "parameter part: "},
		{"cpu", map[string]string{"n": "9"}, options{}, "parameter n: "},
		{"cpu", map[string]string{"n": "20001"}, options{}, "parameter n: "},
		{"cpu", map[string]string{"n": "many"}, options{}, "parameter n: "},
		{"cpu", map[string]string{"duration": "5"}, options{}, "parameter duration: "},
		{"io", map[string]string{"direct": "maybe"}, options{}, "parameter direct: "},
		{"io", map[string]string{"block": "4K"}, options{}, "parameter block: "},
	} {
		got, err := parseOptions(test.name, test.params)
		if err == nil && got != test.want {
			t.Errorf("%s %v: got %+v, want %+v", test.name, test.params, got, test.want)
		}
		checkError(t, test.name, err, test.error)
	}
}

// Every workload of the catalogue has its defaults read by this package: one
// that is added there must be added here.
func TestCatalogue(t *testing.T) {
	for _, w := range profiles.Catalogue {
		if !Has(w) {
			continue
		}
		if _, err := parseOptions(w.Name, nil); err != nil {
			t.Error(err)
		}
	}
}

func checkError(t *testing.T, name string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", name, err, want)
	}
}
