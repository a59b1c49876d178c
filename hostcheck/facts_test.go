package hostcheck

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

// recorded unpacks a host that testdata/hosts holds. A name "A -> B" is a
// symbolic link.
func recorded(t testing.TB, name string) tree {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "hosts", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range a.Files {
		path, target, isLink := strings.Cut(f.Name, " -> ")
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, f.Data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree(root)
}

// told is an inventory that says what it was told to.
type told struct {
	model, system, role string
	total, swap         uint64
}

func (i told) CPU() (string, error)               { return i.model, nil }
func (i told) Memory() (uint64, uint64, error)    { return i.total, i.swap, nil }
func (i told) Virtualization() (system, r string) { return i.system, i.role }

func TestFacts(t *testing.T) {
	for _, tt := range []struct {
		host string
		inv  told
		dirs []string
	}{
		{"hybrid-vm", told{"AMD EPYC", "docker", "guest", 25276510208, 0}, []string{"/var/lib", "/not/there/yet"}},
		{"unified-server", told{"Intel(R) Xeon(R) Gold 6148", "kvm", "host", 1 << 38, 1 << 33}, []string{"/srv/data disk/pool", "/"}},
		{"container", told{"", "docker", "guest", 1 << 33, 0}, []string{"/"}},
	} {
		t.Run(tt.host, func(t *testing.T) {
			f := facts(recorded(t, tt.host), tt.inv, tt.dirs)
			var b strings.Builder
			for _, k := range slices.Sorted(maps.Keys(f)) {
				if strings.HasSuffix(k, ".free") || strings.HasSuffix(k, ".size") {
					continue // of the file system that the test runs on
				}
				fmt.Fprintf(&b, "%s=%s\n", k, f[k])
			}
			golden(t, "hosts/"+tt.host+".golden", b.String())
		})
	}
}

func TestFactsKeepSecrets(t *testing.T) {
	f := facts(recorded(t, "hybrid-vm"), told{}, nil)
	for k, v := range f {
		for _, secret := range []string{"secret", "hidden", "agent"} {
			if strings.Contains(v, secret) {
				t.Errorf("%s=%s carries %q", k, v, secret)
			}
		}
	}
}

// The inventory of this machine answers what the recorded ones are told.
func TestGopsutil(t *testing.T) {
	g := newGopsutil("/")
	if total, _, err := g.Memory(); err != nil || total < 1<<20 {
		t.Errorf("memory: %d bytes, %v", total, err)
	}
	if _, err := g.CPU(); err != nil {
		t.Errorf("CPU: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	base := facts(recorded(t, "hybrid-vm"), told{"AMD EPYC", "", "", 25276510208, 0}, nil)
	want := Fingerprint(base)
	if len(want) != 64 {
		t.Fatalf("%q is no SHA-256", want)
	}
	for _, tt := range []struct {
		name, key, value string
		same             bool
	}{
		{"a reboot", "kernel.boot_id", "other", true},
		{"MemTotal after a reboot", "memory.total", "25276518400", true},
		{"a governor", "cpu.governor", "performance", true},
		{"another kernel", "kernel.release", "6.18.45", false},
		{"the same release built anew", "kernel.version", "#2 SMP", false},
		{"half the memory", "memory.total", "12638255104", false},
		{"a CPU more", "cpu.count", "3", false},
		{"another CPU", "cpu.model", "AMD EPYC-Milan", false},
	} {
		changed := maps.Clone(base)
		changed[tt.key] = tt.value
		if same := Fingerprint(changed) == want; same != tt.same {
			t.Errorf("%s: same fingerprint %v, want %v", tt.name, same, tt.same)
		}
	}
}

func TestLists(t *testing.T) {
	for in, want := range map[string]string{"0-3,8": "5", "0": "1", "": "", "0-": "", "3-1": "", "a": "", "0-79": "80", "1,2,4-5": "4"} {
		if got := count(in); got != want {
			t.Errorf("count(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"32K": "32768", "1M": "1048576", "512": "512", "": "", "-1K": "", "9999999999M": ""} {
		if got := bytesOf(in); got != want {
			t.Errorf("bytesOf(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"000001ffffffffff": "all", "0": "none", "000001fffeffffff": "all but sys_resource", "5": "chown dac_read_search", "x": ""} {
		if got := capabilities(in, "40"); got != want {
			t.Errorf("capabilities(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add("31 30 8:17 / /srv/data\\040disk rw,noatime shared:2 - btrfs /dev/sdb1 rw,ssd\n", "/srv/data disk/x")
	f.Add("1 2 3 4 5 6 - 7 8\n\\", "/")
	f.Fuzz(func(t *testing.T, text, dir string) {
		all := parseMountinfo(text)
		if m, ok := mountOf(all, dir); ok && m.point != "/" && !strings.HasPrefix(dir, m.point) {
			t.Errorf("%q is said to hold %q", m.point, dir)
		}
	})
}
