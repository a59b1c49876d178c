package runner

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func recorded(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/journal.golden")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sameTrials(a, b []TrialRecord) bool {
	return slices.EqualFunc(a, b, func(a, b TrialRecord) bool { return a.Trial == b.Trial && a.Key == b.Key && a.Samples == b.Samples })
}

// A journal cut anywhere reads, and what it holds is the beginning of
// what it held.
func TestDecodeTorn(t *testing.T) {
	b := recorded(t)
	whole, end, err := decodeJournal(bytes.NewReader(b), "j")
	if err != nil {
		t.Fatal(err)
	}
	header := bytes.IndexByte(b, '\n') + 1
	tried := int64(-1)
	for n := range b {
		if n%7 != 0 && b[n] != '\n' && b[n-1] != '\n' {
			continue // every byte would do no more and take seconds
		}
		j, safe, err := decodeJournal(bytes.NewReader(b[:n]), "j")
		if n < header {
			if err == nil {
				t.Fatalf("a header cut at %d of %d was read", n, header)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if torn := b[n-1] != '\n'; torn && !strings.Contains(strings.Join(j.Notes, "\n"), "torn") {
			t.Errorf("cut at %d: no note of the torn line in %q", n, j.Notes)
		}
		if !sameTrials(j.Trials, whole.Trials[:len(j.Trials)]) || !slices.Equal(j.Samples, whole.Samples[:len(j.Samples)]) {
			t.Fatalf("cut at %d: the trials are others", n)
		}
		samples := 0
		for _, trial := range j.Trials {
			samples += trial.Samples
		}
		if samples != len(j.Samples) || safe > min(int64(n), end) {
			t.Errorf("cut at %d: %d samples of trials that have %d; to go on at %d", n, len(j.Samples), samples, safe)
		}
		if safe == tried {
			continue
		}
		tried = safe
		if again, _, err := decodeJournal(bytes.NewReader(b[:safe]), "j"); err != nil || !sameTrials(j.Trials, again.Trials) || len(again.Notes) != 0 {
			t.Errorf("cut at %d, then at %d: %v %v", n, safe, again, err)
		}
	}
}

const (
	aHeader = `{"kind":"header","schema":1,"run":"r"}` + "\n"
	aSample = `{"kind":"sample","key":{"workload":"cpu","runtime":"bare"},"trial":0,"metric":"flops","unit":"flop/s","value":1}` + "\n"
	aTrial  = `{"kind":"trial","trial":0,"key":{"workload":"cpu","runtime":"bare"},"samples":1,"outcome":"ok"}` + "\n"
)

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "j: not a journal: it is empty"},
		{"torn header", `{"kind":"hea`, "j:1: not a journal: the header is torn"},
		{"no header", aSample, `j:1: not a journal: the first line is "sample" and not the header`},
		{"not JSON", aHeader + "x\n", "j:2: not a JSON object: invalid character 'x' looking for beginning of value"},
		{"empty line", aHeader + "\n", "j:2: not a JSON object: unexpected end of JSON input"},
		{"no kind", aHeader + "{}\n", "j:2: record has no kind"},
		{"broken record of an unknown kind", aHeader + `{"kind":"new",` + "\n", "j:2: not a JSON object"},
		{"another schema", `{"kind":"header","schema":2,"run":[]}` + "\n", "j:1: schema 2: this program reads schema 1; use the program that wrote it, or a newer one"},
		{"two headers", aHeader + aHeader, "j:2: a second header: journals are read one by one, not joined"},
		{"wrong type", aHeader + `{"kind":"sample","key":{"workload":1},"metric":"m"}` + "\n", "j:2: json: cannot unmarshal number into Go struct field Key.workload of type string"},
		{"no key", aHeader + `{"kind":"sample","metric":"m"}` + "\n", "j:2: sample has no key"},
		{"no metric", aHeader + `{"kind":"sample","key":{}}` + "\n", "j:2: sample has no metric"},
		{"a sample lost", aHeader + aTrial, "j:2: trial 0 has 1 samples by its record, and 0 before it"},
		{"a trial twice", aHeader + aSample + aTrial + aSample, "j:4: trial 0 ended on line 3 already"},
	} {
		j, err := DecodeJournal(strings.NewReader(c.text), "j")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %+v, %v; want %s", c.name, j, err, c.want)
		}
	}
}

func TestDecodeTolerates(t *testing.T) {
	text := aHeader + aSample + `{"kind":"weather","rain":true}` + "\n" + aTrial +
		strings.ReplaceAll(aSample, `"trial":0`, `"trial":1`) + `{"kind":"sam`
	j, err := DecodeJournal(strings.NewReader(text), "j")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"j:6: the last line is torn and was dropped",
		"j: 1 samples of 1 trials that did not end were left out",
		`j: 1 records of kind "weather", which this version does not know, were passed over`,
	}
	if diff := cmp.Diff(want, j.Notes); diff != "" {
		t.Error(diff)
	}
	if len(j.Samples) != 1 || j.Samples[0].Key != (Key{Workload: "cpu", Runtime: "bare"}).WithDefaults() {
		t.Errorf("samples: %+v", j.Samples)
	}
}

func TestLongLine(t *testing.T) {
	long := strings.Replace(aHeader, `"r"`, `"`+strings.Repeat("r", 1<<20)+`"`, 1)
	if j, err := DecodeJournal(strings.NewReader(long+aSample+aTrial), "j"); err != nil || len(j.Samples) != 1 {
		t.Errorf("a header of a mebibyte: %v", err)
	}
	if _, err := DecodeJournal(strings.NewReader(aHeader+strings.Repeat(" ", longestLine+1)), "j"); err == nil || !strings.HasPrefix(err.Error(), "j:2: line is longer") {
		t.Errorf("a line without end: %v", err)
	}
}

func TestReadHeader(t *testing.T) {
	h, err := ReadHeader("testdata/journal.golden")
	if err != nil || h.Run != "r1" || h.Trials != 6 || h.Profile.Rounds != 2 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := ReadHeader(t.TempDir()); err == nil || !strings.Contains(err.Error(), JournalName) {
		t.Errorf("a directory without a journal: %v", err)
	}
}

func FuzzDecodeJournal(f *testing.F) {
	f.Add(recorded(f))
	f.Add([]byte(aHeader + aSample + aTrial))
	f.Add([]byte(aHeader + `{"kind":"warning","trial":3}` + "\n" + `{"kind":"resume"}` + "\n{\"kind\":\"\\u0066\"}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, end, err := decodeJournal(bytes.NewReader(b), "j")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "j") {
				t.Errorf("the error does not name the journal: %v", err)
			}
			return
		}
		again, same, err := decodeJournal(bytes.NewReader(b[:end]), "j")
		if err != nil || same != end || len(again.Trials) != len(j.Trials) || len(again.Samples) != len(j.Samples) {
			t.Errorf("what a resume would keep, %d bytes of %d, differs: %v", end, len(b), err)
		}
	})
}

func TestWriterIsReadTheQuickWay(t *testing.T) {
	for line := range bytes.Lines(recorded(t)) {
		isSample := bytes.HasPrefix(line, []byte(`{"kind":"sample"`))
		if _, ok := newDecoder(nil, "").written(line); ok != isSample {
			t.Errorf("read the quick way: %v: %s", ok, line)
		}
	}
}

// The quick way of reading a sample must take exactly what encoding/json
// takes, and give the same.
func FuzzWrittenSample(f *testing.F) {
	for _, line := range bytes.SplitAfter(recorded(f), []byte("\n")) {
		f.Add(line)
	}
	f.Add([]byte(`{"kind":"sample","key":{"workload":"cpu","runtime":"ba}re"},"round":01,"trial":0,"metric":"m","unit":"s","better":"lower","value":.5,"t":1}` + "\n"))
	f.Add([]byte(`{"kind":"sample","key":{"workload":"cpu","runtime":1},"round":1,"trial":0,"instance":3,"metric":"m","unit":"s","better":"lower","value":1e400,"t":1}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		d := newDecoder(nil, "")
		quick, ok := d.written(line)
		if !ok {
			return
		}
		if _, err := parse[Key](quick.Key); err != nil {
			return // refused all the same, when the key is parsed
		}
		want, err := parse[sampleLine](line)
		if err != nil || !cmp.Equal(want, quick) {
			t.Errorf("%q: %+v, but encoding/json says %+v, %v", line, quick, want, err)
		}
	})
}

// A journal of a million samples must be read in a few seconds.
func BenchmarkDecodeJournal(b *testing.B) {
	var text bytes.Buffer
	text.WriteString(aHeader)
	const trials, samples = 1000, 100
	for i := range trials {
		key := fmt.Sprintf(`{"workload":"startup","runtime":"isolate","storage":"overlay","dir":"ext4","limits":"small","network":"none","fleet":%d,"neighbour":"none","cache":"warm","host":"vm"}`, i%20+1)
		for n := range samples {
			fmt.Fprintf(&text, `{"kind":"sample","key":%s,"round":%d,"trial":%d,"metric":"phase/%d","unit":"s","better":"lower","value":0.00%d,"t":%d.21}`+"\n", key, i/20, i, n%25, 153+n, i)
		}
		fmt.Fprintf(&text, `{"kind":"trial","trial":%d,"key":%s,"round":%d,"samples":%d,"outcome":"ok"}`+"\n", i, key, i/20, samples)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		j, err := DecodeJournal(bytes.NewReader(text.Bytes()), "j")
		if err != nil || len(j.Samples) != trials*samples {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*trials*samples)/b.Elapsed().Seconds(), "samples/s")
}
