package hostcheck

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func TestEstimate(t *testing.T) {
	kind := Kind{Use: "docker", Demands: map[string]float64{"tasks": 12, "bridge ports": 1, "memory": 16 << 20}}
	for _, tt := range []struct {
		name   string
		limits []Limit
		most   int64
		wall   string
	}{
		{"the bridge", []Limit{{Name: "tasks", Limit: 1 << 22}, {Name: "bridge ports", Limit: 1023}, {Name: "memory", Limit: 64 << 30}}, 1023, "bridge ports"},
		{"process ids", []Limit{{Name: "tasks", Limit: 4096, Used: 400}, {Name: "bridge ports", Limit: 1023}}, 308, "tasks"},
		{"memory in use", []Limit{{Name: "memory", Limit: 1 << 30, Used: 1<<30 - 32<<20}}, 2, "memory"},
		{"more used than allowed", []Limit{{Name: "tasks", Limit: 10, Used: 20}}, 0, "tasks"},
		{"the tighter of two of a name", []Limit{{Name: "tasks", Limit: 120000, From: "a"}, {Name: "tasks", Limit: 120, From: "b"}}, 10, "tasks"},
		{"what it does not take", []Limit{{Name: "ptys", Limit: 1}}, 0, ""},
	} {
		d := Estimate(kind, tt.limits)
		if d.Most != tt.most || d.Wall != tt.wall {
			t.Errorf("%s: %d at %q, want %d at %q", tt.name, d.Most, d.Wall, tt.most, tt.wall)
		}
	}
}

// Raising any limit never lets fewer containers in, and the first wall is the
// nearest of all.
func TestEstimateIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		var limits []Limit
		for name := range kind.Demands {
			limits = append(limits, Limit{Name: name, Limit: rapid.Float64Range(0, 1e12).Draw(t, name), Used: rapid.Float64Range(0, 1e6).Draw(t, name+" used")})
		}
		before := Estimate(kind, limits)
		i := rapid.IntRange(0, len(limits)-1).Draw(t, "raised")
		limits[i].Limit *= 2
		after := Estimate(kind, limits)
		if after.Most < before.Most {
			t.Errorf("raising %s: %d before, %d after", limits[i].Name, before.Most, after.Most)
		}
		for _, w := range after.Walls {
			if w.Most < after.Most {
				t.Errorf("%s allows %d, fewer than the answer %d", w.Name, w.Most, after.Most)
			}
		}
	})
}

func TestEveryUseHasAKind(t *testing.T) {
	for _, u := range Uses {
		if k, ok := kindOf(u); !ok || k.Demands["tasks"] == 0 || k.Demands["memory"] == 0 {
			t.Errorf("%s: kind %+v", u, k)
		}
	}
}

func TestReadLimits(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/loadavg": "0.00 0.00 0.00 2/141 999\n", "proc/sys/kernel/pid_max": "32768\n", "proc/sys/fs/file-nr": "1045\t0\t2466186\n",
		"proc/meminfo":               "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\nSwapTotal: 0 kB\n",
		"proc/sys/kernel/pty/max":    "4096\n",
		"proc/sys/kernel/pty/nr":     "7\n",
		"proc/cgroups":               "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t80\t1\n",
		"proc/sys/user/max_nothing":  "1\n",
		"proc/sys/fs/mount-max":      "garbage\n",
		"proc/sys/kernel/keys/other": "",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]Limit{}
	for _, l := range readLimits(tree(root)) {
		got[l.Name] = l
	}
	for name, want := range map[string][2]float64{"tasks": {32768, 141}, "files": {2466186, 1045}, "memory": {1024000, 614400},
		"ptys": {4096, 7}, "memcgs": {65535, 80}, "bridge ports": {1023, 0}} {
		if l := got[name]; l.Limit != want[0] || l.Used != want[1] {
			t.Errorf("%s: %v used of %v, want %v of %v", name, l.Used, l.Limit, want[1], want[0])
		}
	}
	if _, ok := got["mounts"]; ok {
		t.Error("a file that holds no number gives a limit")
	}
}
