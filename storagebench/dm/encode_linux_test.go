package dm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestEncode compares with bytes that were held against linux/dm-ioctl.h, and
// that kernels have taken.
func TestEncode(t *testing.T) {
	table, err := encodeTable([]Target{
		{Start: 0, Length: 8192, Type: "linear", Params: "/dev/loop0 0"},
		{Start: 8192, Length: 16, Type: "error"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]request{
		"create":  {name: "plimsoll-1-pool", uuid: "PLIMSOLL-plimsoll-1-pool"},
		"load":    {name: "two", targets: 2, data: table},
		"message": {name: "pool", data: encodeMessage("create_snap 1 0")},
		"resume":  {name: "pool", event: udevLeave},
		"drop":    {name: "thin", flags: unix.DM_DEFERRED_REMOVE, event: udevLeave},
		"status":  {name: "pool", room: 64},
	} {
		t.Run(name, func(t *testing.T) {
			buf, err := r.encode()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".hex"), hex.Dump(buf))
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func TestEncodeRefusesLongNames(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 128))
	for _, r := range []request{{name: long}, {uuid: long + "x"}} {
		if _, err := r.encode(); !errors.Is(err, unix.ENAMETOOLONG) {
			t.Errorf("%v, want ENAMETOOLONG", err)
		}
	}
	if _, err := (request{name: long[1:], uuid: long}).encode(); err != nil {
		t.Error(err)
	}
	if _, err := encodeTable([]Target{{Type: long[:16]}}); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("%v, want ENAMETOOLONG", err)
	}
}

func TestDecode(t *testing.T) {
	reply := func(size, start uint32) []byte {
		buf, err := binary.Append(nil, binary.NativeEndian, unix.DmIoctl{Data_size: size, Data_start: start})
		if err != nil {
			t.Fatal(err)
		}
		return append(buf, "data"...)
	}
	for _, c := range []struct {
		name  string
		reply []byte
		want  string
		ok    bool
	}{
		{"data", reply(316, 312), "data", true},
		{"none, as the kernel says it", reply(305, 312), "", true},
		{"more than there is", reply(317, 312), "", false},
		{"half a head", reply(316, 312)[:100], "", false},
	} {
		_, data, err := decode(c.reply)
		if string(data) != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %q, %v", c.name, data, err)
		}
	}
}

func TestParseTable(t *testing.T) {
	want := []Target{{Length: 8192, Type: "thin", Params: "0 -"}, {Start: 8192, Length: 16, Type: "error"}}
	data, err := encodeTable(want)
	if err != nil {
		t.Fatal(err)
	}
	// The kernel counts from the first.
	binary.NativeEndian.PutUint32(data[48+20:], uint32(len(data)))
	got, err := parseTable(data, 2)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got, err := parseTable(data, 3); err == nil {
		t.Errorf("three of two: %v", got)
	}
	if got, err := parseTable(data[:90], 2); err == nil {
		t.Errorf("two of less: %v", got)
	}
}

// nameList is what the kernel answers, name for name.
func nameList(names ...string) (list []byte) {
	for i, n := range names {
		record := binary.NativeEndian.AppendUint64(nil, uint64(unix.Mkdev(253, uint32(i))))
		size := (12 + len(n) + 1 + 7) &^ 7
		next := uint32(size)
		if i == len(names)-1 {
			next = 0
		}
		record = append(binary.NativeEndian.AppendUint32(record, next), n...)
		list = append(list, append(record, make([]byte, size-len(record))...)...)
	}
	return list
}

func TestParseNames(t *testing.T) {
	for _, want := range [][]string{nil, {"one"}, {"plimsoll-1-pool", "b", "vg-a--b"}} {
		got, err := parseNames(nameList(want...))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if got, err := parseNames(make([]byte, 24)); err != nil || got != nil {
		t.Errorf("an entry without a device: %q, %v", got, err)
	}
	if got, err := parseNames(nameList("one", "two")[:26]); err == nil {
		t.Errorf("half a list: %q", got)
	}
}

func TestParseVersions(t *testing.T) {
	var list []byte
	for _, n := range []uint32{32, 0, 1, 22, 0} { // next, version; the name follows
		if len(list) < 16 {
			list = binary.NativeEndian.AppendUint32(list, n)
		}
	}
	list = append(list, "thin-pool\x00\x00\x00\x00\x00\x00\x00"...)
	for _, n := range []uint32{0, 1, 4, 0} {
		list = binary.NativeEndian.AppendUint32(list, n)
	}
	list = append(list, "linear\x00"...)
	got, err := parseVersions(list)
	if err != nil {
		t.Fatal(err)
	}
	want := []Version{{"thin-pool", [3]uint32{0, 1, 22}}, {"linear", [3]uint32{1, 4, 0}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// FuzzParse: what a kernel would have to say to confuse us ends in an error.
func FuzzParse(f *testing.F) {
	table, err := encodeTable([]Target{{Length: 1, Type: "linear", Params: "7:0 0"}, {Start: 1, Length: 1, Type: "error"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table, uint32(2))
	f.Add(nameList("one", "two"), uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, count uint32) {
		parseTable(data, count%64)
		parseNames(data)
		parseVersions(data)
		decode(data)
	})
}
