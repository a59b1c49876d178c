package hostcheck

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNoise(t *testing.T) {
	root := t.TempDir()
	write := func(stat, load, cpu string) {
		for name, text := range map[string]string{"stat": stat, "loadavg": load, "pressure/cpu": cpu} {
			path := filepath.Join(root, "proc", name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("cpu  100 0 50 800 10 0 0 40 7 0\ncpu0 1 2 3\n", "0.50 0.40 0.30 1/99 123\n", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
	before, err := ReadNoise(root)
	if err != nil {
		t.Fatal(err)
	}
	write("cpu  160 0 60 810 20 0 0 50 9 0\n", "1.25 0.40 0.30 1/99 123\n", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n")
	after, err := ReadNoise(root)
	if err != nil {
		t.Fatal(err)
	}
	after.at = before.at.Add(2 * time.Second)
	// 100 ticks went by: 10 stolen, 20 idle or waiting. Half a second of two was stalled.
	want := map[string]float64{"steal": 0.1, "busy": 0.8, "load1": 1.25, "psi_cpu": 0.25}
	if diff := cmp.Diff(want, after.Since(before), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
	if got := after.Since(after); len(got) != 1 {
		t.Errorf("within one tick only the load is known: %v", got)
	}
}

// Counters may step back when a CPU goes away: a share stays a share.
func TestNoiseStepsBack(t *testing.T) {
	a := NoiseSnapshot{at: time.Unix(0, 0), total: 100, idle: 90, steal: 5, stalled: [3]float64{3}, hasPSI: [3]bool{true}}
	b := NoiseSnapshot{at: time.Unix(1, 0), total: 150, idle: 10, steal: 1, stalled: [3]float64{1}, hasPSI: [3]bool{true}}
	for name, v := range b.Since(a) {
		if name != "load1" && (v < 0 || v > 1) {
			t.Errorf("%s is %v", name, v)
		}
	}
}

func TestNoiseErrors(t *testing.T) {
	if _, err := ReadNoise(t.TempDir()); err == nil {
		t.Error("a root without /proc gives no error")
	}
	for _, stat := range []string{"", "intr 1\n", "cpu  1 2 3\n", "cpu  a b c d e f g h\n"} {
		if err := new(NoiseSnapshot).parseStat([]byte(stat)); err == nil {
			t.Errorf("%q gives no error", stat)
		}
	}
}

func FuzzNoise(f *testing.F) {
	f.Add([]byte("cpu  100 0 50 800 10 0 0 40 7 0\n"), []byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"))
	f.Fuzz(func(t *testing.T, stat, psi []byte) {
		var s NoiseSnapshot
		s.parseStat(stat)
		s.stalled[0], s.hasPSI[0] = parsePressure(psi)
		for name, v := range s.Since(NoiseSnapshot{}) {
			if v != v {
				t.Errorf("%s is not a number", name)
			}
		}
	})
}

func BenchmarkReadNoise(b *testing.B) {
	if _, err := os.Stat("/proc/stat"); err != nil {
		b.Skip("no /proc")
	}
	for b.Loop() {
		if _, err := ReadNoise("/"); err != nil {
			b.Fatal(err)
		}
	}
}
