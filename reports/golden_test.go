package reports

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/runner"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", path, diff)
	}
}

func mustNew(t *testing.T, journals ...*runner.Journal) Report {
	t.Helper()
	r, err := New(journals...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTextGolden(t *testing.T) {
	for name, journals := range map[string][]*runner.Journal{
		"quick.txt":    {quick("vm", 7, 6)},
		"eventful.txt": {eventful()},
	} {
		var b bytes.Buffer
		if err := Text(&b, mustNew(t, journals...), false); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestJSONGolden(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, mustNew(t, eventful())); err != nil {
		t.Fatal(err)
	}
	golden(t, "eventful.json", b.Bytes())
}
