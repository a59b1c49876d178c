package probe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecords(t *testing.T) {
	good := appendRecord(nil, Record{Time: 5, ID: "12345678", PID: 1})
	good = appendRecord(good, Record{Time: 7, PID: 1 << 22})
	want := []Record{{5, "12345678", 1}, {7, "", 1 << 22}}
	first := good[:RecordSize]
	zeroed := func(at, n int) []byte {
		b := bytes.Clone(first)
		clear(b[at : at+n])
		return b
	}
	for _, test := range []struct {
		name  string
		data  []byte
		want  []Record
		error string
	}{
		{"nothing", nil, nil, ""},
		{"two", good, want, ""},
		{"foreign bytes after", append(bytes.Clone(good), "oops"...), want, `byte 64: "oops" is not the probe's output`},
		{"foreign bytes before", append([]byte("\n"), good...), nil, "byte 0"},
		{"torn", good[:RecordSize+20], want[:1], "byte 32: cut off after 20 of 32 bytes"},
		{"no time", zeroed(8, 8), nil, "damaged"},
		{"no pid", zeroed(24, 8), nil, "damaged"},
		{"hole in the id", zeroed(17, 1), nil, "damaged"},
	} {
		got, err := ParseRecords(test.data)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
		if (err == nil) != (test.error == "") || err != nil && !strings.Contains(err.Error(), test.error) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.error)
		}
	}
}

func FuzzParseRecords(f *testing.F) {
	f.Add(appendRecord(nil, Record{Time: 5, ID: "a", PID: 1}))
	f.Add([]byte(Magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := ParseRecords(data)
		var again []byte
		for _, r := range records {
			again = appendRecord(again, r)
		}
		if !bytes.HasPrefix(data, again) {
			t.Errorf("%q was read as %v", data, records)
		}
		if err == nil && len(again) != len(data) {
			t.Errorf("%d of %d bytes were read without an error", len(again), len(data))
		}
	})
}

func appendRecord(b []byte, r Record) []byte {
	b = append(b, Magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time))
	b = append(b, append([]byte(r.ID), make([]byte, MaxID-len(r.ID))...)...)
	return binary.LittleEndian.AppendUint64(b, uint64(r.PID))
}

var architectures = []struct {
	name    string
	machine elf.Machine
	tools   string // prefix of the binutils
}{
	{"amd64", elf.EM_X86_64, "x86_64-linux-gnu-"},
	{"arm64", elf.EM_AARCH64, "aarch64-linux-gnu-"},
}

// The files are small, load as one page that cannot be written, and have a
// stack that cannot be executed.
func TestELF(t *testing.T) {
	for _, arch := range architectures {
		data := readFile(t, "probe_"+arch.name+".elf")
		if len(data) > 512 {
			t.Errorf("%s: %d bytes, want at most 512", arch.name, len(data))
		}
		f, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", arch.name, err)
		}
		if f.Machine != arch.machine || f.Type != elf.ET_EXEC {
			t.Errorf("%s: machine %v, type %v", arch.name, f.Machine, f.Type)
		}
		size := uint64(len(data))
		want := []elf.ProgHeader{
			{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Vaddr: 0x400000, Paddr: 0x400000, Filesz: size, Memsz: size, Align: 64 << 10},
			{Type: elf.PT_GNU_STACK, Flags: elf.PF_R | elf.PF_W, Align: 16},
		}
		var got []elf.ProgHeader
		for _, p := range f.Progs {
			got = append(got, p.ProgHeader)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", arch.name, diff)
		}
	}
}

// The files are what go generate makes of the source.
func TestUpToDate(t *testing.T) {
	for _, arch := range architectures {
		t.Run(arch.name, func(t *testing.T) {
			if _, err := exec.LookPath(arch.tools + "as"); err != nil {
				missing(t, "binutils", err)
			}
			object, output := filepath.Join(t.TempDir(), "o"), filepath.Join(t.TempDir(), "elf")
			command(t, arch.tools+"as", "-o", object, "asm/"+arch.name+".s")
			command(t, arch.tools+"objcopy", "-O", "binary", "-j", ".text", object, output)
			if !bytes.Equal(readFile(t, output), readFile(t, "probe_"+arch.name+".elf")) {
				t.Errorf("probe_%s.elf is not what asm/%s.s says: run go generate", arch.name, arch.name)
			}
		})
	}
}

func command(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// missing skips a test, or fails it where PLIMSOLL_REQUIRE names what it
// needs: there, a test that does not run must not pass for one that does.
func missing(t *testing.T, capability string, reason any) {
	t.Helper()
	for name := range strings.SplitSeq(os.Getenv("PLIMSOLL_REQUIRE"), ",") {
		if name == capability {
			t.Fatalf("PLIMSOLL_REQUIRE names %s: %v", capability, reason)
		}
	}
	t.Skipf("%s: %v", capability, reason)
}
