package operation

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"plimsoll/storagebench/tree"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		took []time.Duration
		want time.Duration
	}{
		{[]time.Duration{5}, 5},
		{[]time.Duration{9, 1}, 5},
		{[]time.Duration{9, 1, 2}, 2},
	} {
		if got := median(c.took); got != c.want {
			t.Errorf("%v: %v, want %v", c.took, got, c.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	file := []extent{{4096, 4096}, {65536, 8192}}
	for name, c := range map[string]struct {
		other []extent
		want  bool
	}{
		"nothing":   {nil, false},
		"elsewhere": {[]extent{{0, 4096}, {8192, 4096}, {73728, 4096}}, false},
		"the same":  {file, true},
		"a block":   {[]extent{{0, 4096}, {69632, 4096}}, true},
		"around it": {[]extent{{0, 1 << 20}}, true},
	} {
		if got := overlap(file, c.other); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := overlap(c.other, file); got != c.want {
			t.Errorf("%s, the other way round: %v", name, got)
		}
	}
}

func TestEqual(t *testing.T) {
	truth := []tree.Change{{Path: "/b", Kind: tree.Modified}, {Path: "/d", Kind: tree.Deleted}}
	for name, c := range map[string]struct {
		found []tree.Change
		want  string
	}{
		"true":       {truth, ""},
		"empty":      {nil, "/b (modify) is not in it"},
		"one short":  {truth[:1], "/d (delete) is not in it"},
		"first gone": {truth[1:], "/b (modify) is not in it"},
		"one more":   {append(truth[:2:2], tree.Change{Path: "/e", Kind: tree.Added}), "/e (add) was not changed so"},
		"another":    {[]tree.Change{{Path: "/a", Kind: tree.Added}, truth[0], truth[1]}, "/a (add) was not changed so"},
		"as another": {[]tree.Change{truth[0], {Path: "/d", Kind: tree.Modified}}, "/d is listed as modify, and was delete"},
	} {
		got := ""
		if err := equal(c.found, truth); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	files := []file{{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}, {"e", 0}}
	if got, want := spread(files, 2), []file{{"a", 0}, {"c", 0}}; !cmp.Equal(got, want, cmp.AllowUnexported(file{})) {
		t.Errorf("two of five: %v", got)
	}
	if got := spread(files, 5); !cmp.Equal(got, files, cmp.AllowUnexported(file{})) {
		t.Errorf("all of them: %v", got)
	}
}

// Who is served late has waited since all were to begin: a pool that makes one
// clone after another must not look as fast as one that makes them at once.
func TestAtOnceCountsWaiting(t *testing.T) {
	turn := make(chan int, 1)
	turn <- 0
	const each = 5 * time.Millisecond
	took, err := atOnce(3, func(int) error {
		place := <-turn
		time.Sleep(each)
		turn <- place + 1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if median(took) < 2*each || took[2] < 3*each {
		t.Errorf("in turn, %v each: %v", each, took)
	}
	broken := errors.New("broken")
	if _, err := atOnce(3, func(i int) error {
		if i == 1 {
			return broken
		}
		return nil
	}); !errors.Is(err, broken) {
		t.Errorf("one of three fails: %v", err)
	}
}

func TestField(t *testing.T) {
	text := "13 1 0x01 123 33456 1 2\nname  type data\nsize_other 4 7\nsize                            4    98304\nMemFree:        1024 kB\ntorn\n"
	for name, c := range map[string]struct {
		column int
		want   int64
	}{"size": {2, 98304}, "MemFree:": {1, 1024}} {
		if got, err := field(text, name, c.column); err != nil || got != c.want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"none", "torn", "name"} {
		if got, err := field(text, name, 1); err == nil {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func FuzzEntryTypes(f *testing.F) {
	entry := func(name string, kind byte) []byte {
		b := make([]byte, 19, 24+len(name))
		b = append(append(b, name...), 0)
		binary.NativeEndian.PutUint16(b[16:], uint16(len(b)))
		b[18] = kind
		return b
	}
	two := append(entry("file", unix.DT_REG), entry("directory", unix.DT_DIR)...)
	if got, want := entryTypes(two), map[string]byte{"file": unix.DT_REG, "directory": unix.DT_DIR}; !cmp.Equal(got, want) {
		f.Fatalf("%v", got)
	}
	f.Add(two)
	f.Add(two[:30])
	f.Fuzz(func(t *testing.T, entries []byte) {
		for name := range entryTypes(entries) {
			if len(name) > len(entries) {
				t.Errorf("a name of %d bytes in %d", len(name), len(entries))
			}
		}
	})
}

func TestQuirksAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, q := range List() {
		if seen[q.Name] || q.Plain == "" || q.Why == "" {
			t.Errorf("%q is there twice, or does not say what it is about", q.Name)
		}
		seen[q.Name] = true
	}
}
