package kconfig

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.119 Kernel Configuration\n#\n"

func TestParse(t *testing.T) {
	text := header +
		"CONFIG_NAMESPACES=y\n# CONFIG_CGROUPS=y\n# CONFIG_PSI is not set\nCONFIG_OVERLAY_FS=m\n" +
		"CONFIG_HZ=250\nCONFIG_DEFAULT_MMAP_MIN_ADDR=0x10000\nCONFIG_LSM=\"landlock,\\\"x\\\\y\\\"\"\nCONFIG_EMPTY=\nCONFIG_OVERLAY_FS=y\n#CONFIG_NET_NS=y\nCONFIG_CRLF=y\r\n"
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{Version: Version{6, 1, 119}, Arch: "x86", Values: map[string]string{
		"NAMESPACES": "y", "PSI": "n", "OVERLAY_FS": "y", "HZ": "250", "DEFAULT_MMAP_MIN_ADDR": "0x10000",
		"LSM": `landlock,"x\y"`, "EMPTY": "", "CRLF": "y"}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if c.On("CGROUPS") || c.On("NET_NS") {
		t.Error("a commented line counts as set")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "no CONFIG_ line"},
		{"a script", "#!/bin/sh\necho CONFIG_X=y\n", "line 2: \"echo CONFIG_X=y\" is neither"},
		{"cut within a line", header + "CONFIG_NAMESPACES=y\nCONFIG_CGR", "line 6: the text ends within a line"},
		{"blanks around the sign", header + "CONFIG_PSI = y\n", "no setting"},
		{"a value that is none", header + "CONFIG_PSI=yes\n", "neither y, m, n"},
		{"an open string", header + "CONFIG_LSM=\"a\n", "neither y, m, n"},
		{"text after a string", header + "CONFIG_LSM=\"a\"b\n", "neither y, m, n"},
		{"indented", header + "  CONFIG_PSI=y\n", "neither a setting nor a comment"},
		{"bytes", "\x00\x01\x02\n", "neither a setting nor a comment"},
		{"no name", header + "CONFIG_=y\n", "no setting"},
		{"a very long line", header + "CONFIG_X=\"" + strings.Repeat("a", maxLine) + "\"\n", "too long"},
	} {
		_, err := Parse([]byte(tt.text))
		var pe *ParseError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want a ParseError with %q", tt.name, err, tt.want)
		}
	}
}

// generated has the shape of a .config that Kconfig wrote: menus, comments
// that look like menus, and an end.
func generated(ends bool) string {
	var b strings.Builder
	b.WriteString(header)
	menu := func(title string, isMenu bool, n int) {
		fmt.Fprintf(&b, "\n#\n# %s\n#\n", title)
		for i := range n {
			fmt.Fprintf(&b, "CONFIG_%s_%d=y\n", strings.ToUpper(strings.ReplaceAll(title, " ", "_")), i)
		}
		if ends && isMenu {
			fmt.Fprintf(&b, "# end of %s\n", title)
		}
	}
	menu("General setup", true, 200)
	menu("Networking options", true, 100)
	menu("Xtables combined modules", false, 20)
	menu("Device Drivers", true, 300)
	menu("File systems", true, 50)
	menu("Library routines", true, 50)
	menu("Kernel hacking", true, 50)
	b.WriteString("CONFIG_IO_URING_ZCRX=y\n")
	return b.String()
}

// TestTruncated cuts a configuration after every line: what remains is
// unreadable, unless nothing is lost but the very last lines.
func TestTruncated(t *testing.T) {
	for _, ends := range []bool{true, false} {
		whole := generated(ends)
		if c, err := Parse([]byte(whole)); err != nil || !c.Whole {
			t.Fatalf("ends %v: the whole text: %v", ends, err)
		}
		last := strings.Index(whole, "# Kernel hacking")
		at := strings.Index(whole, "# General setup\n#\n") + len("# General setup\n#\n")
		for at < last {
			next := strings.IndexByte(whole[at:], '\n') + at + 1
			if _, err := Parse([]byte(whole[:next])); err == nil {
				t.Fatalf("ends %v: cut after %q is read as a whole one", ends, whole[at:next])
			}
			at = next
		}
		for _, n := range []int{1, len(whole) / 3, len(whole) / 2, len(whole) - 2} {
			if _, err := Parse([]byte(whole[:n])); err == nil {
				t.Errorf("ends %v: the first %d bytes are read as a whole one", ends, n)
			}
		}
	}
}

func TestCutGzip(t *testing.T) {
	z := zip(t, generated(true))
	if c, err := Decode(z); err != nil || !c.Whole {
		t.Fatal(err)
	}
	for _, n := range []int{len(z) - 1, len(z) / 2, 20} {
		if _, err := Decode(z[:n]); err == nil || !strings.Contains(err.Error(), "cut short or damaged") {
			t.Errorf("the first %d of %d bytes: %v", n, len(z), err)
		}
	}
}

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseVersion(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Version
	}{
		{"6.1.0-28-amd64", Version{6, 1, 0}}, {"5.15.167.4-microsoft-standard-WSL2", Version{5, 15, 167}},
		{"7.0-rc1", Version{7, 0, 0}}, {"6.12", Version{6, 12, 0}}, {"6.12+", Version{6, 12, 0}},
		{"4.19.0-rc3.1", Version{4, 19, 0}}, {"6", Version{}}, {"", Version{}}, {"linux", Version{}}, {"6.", Version{}}, {"6.x", Version{}},
	} {
		got, err := ParseVersion(tt.in)
		if got != tt.want || (err == nil) != tt.want.Known() {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(generated(true)))
	f.Add([]byte(header + "CONFIG_LSM=\"a\\\"b\"\n# CONFIG_X is not set\nCONFIG_N=-0x1f\n"))
	f.Add([]byte("# CONFIG_ is not set\n#\n# a\n#\n# end of a\nCONFIG_A=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		for name, value := range c.Values {
			if !isName(name) {
				t.Errorf("name %q", name)
			}
			if c.On(name) != (value == "y" || value == "m") {
				t.Errorf("%s=%q", name, value)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(zip(f, generated(true)))
	f.Add([]byte("\x7fELF" + string(ikMagic) + string(zip(f, generated(true)))))
	f.Add(append(append([]byte("\x7fELF"), ikMagic...), 0x1f, 0x8b, 0x08))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		if c, err := Decode(data); err == nil && len(c.Values) == 0 {
			t.Error("a configuration of nothing")
		}
	})
}

func FuzzModules(f *testing.F) {
	f.Add("kernel/fs/overlayfs/overlay.ko.xz: kernel/lib/x.ko\n", "blacklist a-b\ninstall c /bin/false\n", "nomodule module_blacklist=x,y")
	f.Fuzz(func(t *testing.T, dep, conf, cmdline string) {
		var m Modules
		m.ReadDep(strings.NewReader(dep))
		m.ReadBuiltin(strings.NewReader(dep))
		m.ReadLoaded(strings.NewReader(dep))
		m.ReadModprobe(strings.NewReader(conf), "f")
		m.ReadCmdline(cmdline)
		for name := range m.Files {
			if a, _ := m.Of(name); a == "" {
				t.Errorf("%q has no availability", name)
			}
		}
	})
}
