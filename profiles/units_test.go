package profiles

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParseBytes(t *testing.T) {
	for _, c := range []struct {
		in        string
		n         int64
		canonical string
	}{
		{"0", 0, "0B"},
		{"512", 512, "512B"},
		{"4096", 4096, "4KiB"},
		{"4KiB", 4096, "4KiB"},
		{"1024KiB", 1 << 20, "1MiB"},
		{"1.5GiB", 3 << 29, "1536MiB"},
		{"64 MiB", 64 << 20, "64MiB"},
		{"1kB", 1000, "1kB"},
		{"1KB", 1000, "1kB"},
		{"1000MB", 1e9, "1GB"},
		{"2TiB", 2 << 40, "2TiB"},
		{"1.0B", 1, "1B"},
	} {
		n, err := ParseBytes(c.in)
		if err != nil || n != c.n || FormatBytes(n) != c.canonical {
			t.Errorf("ParseBytes(%q) = %d (%s), %v; want %d (%s)", c.in, n, FormatBytes(n), err, c.n, c.canonical)
		}
	}
	for _, in := range []string{
		"", "B", "KiB", "4K", "4k", "4Kib", "-1", "-4KiB", "1e3", "0.3B", "1/2KiB", "8388608TiB", "1..5KiB", "٣KiB",
		"1e1000000000KiB", "0x10", "4KiB/s", "999999999999999999999999999999999999999999",
	} {
		if n, err := ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, n)
		}
	}
}

func TestBytesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "n")
		if back, err := ParseBytes(FormatBytes(n)); err != nil || back != n {
			t.Fatalf("%d is written %s and read back as %d, %v", n, FormatBytes(n), back, err)
		}
		if back, err := ParseRate(FormatRate(n)); err != nil || back != n {
			t.Fatalf("%d is written %s and read back as %d, %v", n, FormatRate(n), back, err)
		}
	})
}

func TestParseCPUList(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "0-1,3": "0-1,3", "3,0,1": "0-1,3", "0-3,2-5": "0-5", " 1, 2": "1-2", "010": "10", "8191": "8191",
	} {
		if got, err := parseCPUList(in); err != nil || got != want {
			t.Errorf("parseCPUList(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", ",", "a", "1-", "-1", "3-1", "8192", "0-4294967295", "1--2"} {
		if got, err := parseCPUList(in); err == nil {
			t.Errorf("parseCPUList(%q) = %q, want an error", in, got)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"startup", "cpu", "memory", "io"}
	for in, want := range map[string]string{
		"startpu": "startup", "memry": "memory", "CPU": "cpu", "oi": "io", "network": "", "": "io",
	} {
		if got := Nearest(in, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseRuntime(t *testing.T) {
	for in, want := range map[string]Runtime{
		"bare":             {Name: "bare"},
		"crun":             {Name: "crun"},
		"pr=oci:./my-runc": {Name: "pr", Path: "./my-runc"},
		"Pr_1=oci:/a=b":    {Name: "Pr_1", Path: "/a=b"},
	} {
		if got, err := ParseRuntime(in); err != nil || got != want {
			t.Errorf("ParseRuntime(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "runcc", "docker", "pr=", "pr=oci:", "pr=./runc", "=oci:x", "1=oci:x", "a b=oci:x", "runc=oci:x", "a/b=oci:x"} {
		if got, err := ParseRuntime(in); err == nil {
			t.Errorf("ParseRuntime(%q) = %v, want an error", in, got)
		}
	}
}

// A default that is not in canonical form would make a cell differ from
// itself.
func TestCatalogueDefaultsAreCanonical(t *testing.T) {
	for _, w := range Catalogue {
		for _, p := range w.Params {
			if got, err := p.Canonical(p.Default); err != nil || got != p.Default {
				t.Errorf("%s.%s: default %q is %q in canonical form, %v", w.Name, p.Name, p.Default, got, err)
			}
		}
	}
}
