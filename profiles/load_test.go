package profiles

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, text string, o Overrides) Profile {
	t.Helper()
	p, err := Parse("mine.yaml", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBuiltin(t *testing.T) {
	found, err := filepath.Glob("builtin/*.yaml")
	if err != nil || len(found) != len(Builtin) {
		t.Errorf("builtin/ has %v, %v; the list has %v", found, err, Builtin)
	}
	for _, name := range Builtin {
		p, err := Load(name, Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.Description == "" || len(p.Named) != 0 {
			t.Errorf("%s: name %q, description %q, named %v", name, p.Name, p.Description, p.Named)
		}
		// Six samples are the least for a 95% interval of a median.
		if p.Rounds < 6 {
			t.Errorf("%s: %d rounds", name, p.Rounds)
		}
	}
	p, err := Load("", Overrides{})
	if err != nil || p.Name != "quick" {
		t.Errorf("the default profile is %q, %v", p.Name, err)
	}
}

func TestShortFile(t *testing.T) {
	p := load(t, `
factors:
  workload: cpu
  runtime: [bare, pr=oci:./my-runc]
  fleet: 1, 8
`, Overrides{})
	if p.Name != "mine" || p.Rounds != 10 || p.Gap != 20*time.Millisecond {
		t.Errorf("defaults are missing: %+v", p)
	}
	if diff := cmp.Diff([]int{1, 8}, p.Factors.Fleet); diff != "" {
		t.Error(diff)
	}
	want := map[string]Workload{"cpu": {Repeats: 1, Params: map[string][]string{
		"part": {"all"}, "n": {"500"}, "duration": {"100ms"}, "threads": {"0"},
	}}}
	if diff := cmp.Diff(want, p.Workloads); diff != "" {
		t.Error(diff)
	}
	named := map[string][]string{"workload": {"cpu"}, "runtime": {"bare", "pr"}, "fleet": {"1", "8"}}
	if diff := cmp.Diff(named, p.Named); diff != "" {
		t.Error(diff)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "rounds: 2\ngap: 5ms\nlimits: {small: {memory: 1MiB, pids: 7}}\nfactors: {limits: [none, small]}\n"
	env := []string{"PLIMSOLL_ROUNDS=3", "PLIMSOLL_FACTORS_FLEET=1,8", "PLIMSOLL_LIMITS_SMALL_MEMORY=2MiB", "PLIMSOLL_REQUIRE=root", "HOME=/"}
	set := []Setting{
		{"--rounds", "rounds", "4"},
		{"--set", "limits.small.memory", "64MiB"},
		{"--set", "workloads.io.params.block", "[4096, 1MiB]"},
		{"--set", "rounds", "5"},
	}
	for _, c := range []struct {
		name   string
		o      Overrides
		rounds int
		memory int64
		fleet  []int
	}{
		{"file", Overrides{}, 2, 1 << 20, []int{1}},
		{"environment", Overrides{Environ: env}, 3, 2 << 20, []int{1, 8}},
		{"flags", Overrides{Environ: env, Set: set}, 5, 64 << 20, []int{1, 8}},
	} {
		p := load(t, file, c.o)
		if p.Rounds != c.rounds || p.Limits["small"].Memory != c.memory || !cmp.Equal(p.Factors.Fleet, c.fleet) {
			t.Errorf("%s: rounds %d, memory %d, fleet %v", c.name, p.Rounds, p.Limits["small"].Memory, p.Factors.Fleet)
		}
		if p.Gap != 5*time.Millisecond || p.Limits["small"].PIDs != 7 {
			t.Errorf("%s: a later layer took what it does not speak of: %+v", c.name, p)
		}
	}
	p := load(t, file, Overrides{Set: set})
	if diff := cmp.Diff([]string{"4KiB", "1MiB"}, p.Workloads["io"].Params["block"]); diff != "" {
		t.Error(diff)
	}
}

func TestNamedFromOverrides(t *testing.T) {
	p, err := Load("quick", Overrides{
		Environ: []string{"PLIMSOLL_FACTORS_FLEET=8"},
		Set: []Setting{
			{"--runtime", "factors.runtime", "bare,runc"}, {"--rounds", "rounds", "7"}, {"--set", "workloads.io.params.direct", "true"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"runtime": {"bare", "runc"}, "fleet": {"8"}, "workloads.io.params.direct": {"true"}}
	if diff := cmp.Diff(want, p.Named); diff != "" {
		t.Error(diff)
	}
}

const everything = `
name: full
rounds: 3
seed: 18446744073709551615
gap: 0s
timeout: 1500ms
budget: 90m
factors:
  workload: [io, startup]
  runtime: [bare, isolate, "pr=oci:/opt/my runc"]
  storage: [host, bind, overlay]
  dir: ["", /data, "/a: b #c"]
  limits: [none, small]
  network: [none, host, bridge, nat]
  fleet: [1, 64]
  cache: [warm, cold]
  variant: ["", "1.10", "true"]
exclude:
  - {runtime: pr, fleet: [64], dir: /data, variant: "1.10"}
  - params: {rung: [pid, six], block: 4096}
limits:
  small:
    cpu: 0.05
    cpu_period: 20ms
    cpu_weight: 10000
    cpuset: 010,3-10
    mems: 0
    memory: 64MiB
    swap: none
    pids: 1
    io_weight: 50
    hugetlb: [{page: 2MiB, limit: 4096KiB}, {page: 1GiB, limit: 0}]
    io:
      - {device: workdir, read_bps: 10MiB/s, write_iops: 100}
      - {device: "8:16", write_bps: 1000000}
workloads:
  startup: {repeats: 7, params: {hold: 1000ms}}
  io: {params: {direct: [true, false], block: [4096, 1MB]}}
`

func TestRoundTrip(t *testing.T) {
	texts := map[string]string{"everything": everything}
	for _, name := range Builtin {
		b, _ := Source(name)
		texts[name] = string(b)
	}
	for name, text := range texts {
		p := load(t, text, Overrides{})
		b, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again := load(t, string(b), Overrides{})
		p.Named, again.Named = nil, nil
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("%s: changed by writing it and reading it again:\n%s\n%s", name, diff, b)
		}
		b, err = json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Profile
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back); diff != "" {
			t.Errorf("%s: changed by JSON:\n%s\n%s", name, diff, b)
		}
		if !strings.Contains(string(b), `"gap":"`) {
			t.Errorf("%s: no gap in words in %s", name, b)
		}
	}
}

func TestCanonicalValues(t *testing.T) {
	p := load(t, everything, Overrides{})
	l := p.Limits["small"]
	if l.CPUSet != "3-10" || l.CPUPeriod != 20_000 || l.IO[0].ReadBPS != 10<<20 {
		t.Errorf("limits: %+v", l)
	}
	want := map[string]string{
		"cpu": "0.05", "cpu_period": "20ms", "cpu_weight": "10000", "cpuset": "3-10", "mems": "0", "memory": "64MiB", "pids": "1",
		"swap": "none", "io_weight": "50", "hugetlb.2MiB": "4MiB", "hugetlb.1GiB": "0B",
		"io.workdir.read_bps": "10MiB/s", "io.workdir.write_iops": "100", "io.8:16.write_bps": "1MB/s",
	}
	if diff := cmp.Diff(want, l.Settings()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1s"}, p.Workloads["startup"].Params["hold"]); diff != "" {
		t.Error(diff)
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "night.yaml")
	if err := os.WriteFile(path, []byte("rounds: 8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Load(path, Overrides{}); err != nil || p.Name != "night" || p.Rounds != 8 {
		t.Errorf("Load: %+v, %v", p, err)
	}
	for name, want := range map[string]string{
		"quik":                          `unknown profile "quik" (did you mean quick?), and no such file`,
		filepath.Join(dir, "none.yaml"): "read profile: open " + filepath.Join(dir, "none.yaml") + ": no such file or directory",
		dir:                             "read profile: read " + dir + ": is a directory",
	} {
		if _, err := Load(name, Overrides{}); err == nil || err.Error() != want {
			t.Errorf("Load(%q): %v; want %s", name, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything), "factors.fleet=[1,8]")
	f.Add([]byte("a: &x [*x]\n---\n"), "exclude=[{}]")
	f.Add([]byte("? {}\n: !!binary x\n"), "limits.a.io={")
	for _, name := range Builtin {
		b, _ := Source(name)
		f.Add(b, "rounds=1")
	}
	f.Fuzz(func(t *testing.T, text []byte, arg string) {
		o := Overrides{}
		if s, err := ParseSet(arg); err == nil {
			o.Set = []Setting{s}
		}
		p, err := Parse("fuzz.yaml", text, o)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without words")
			}
			return
		}
		b, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again.yaml", b, Overrides{})
		if err != nil {
			t.Fatalf("%v in its own YAML:\n%s", err, b)
		}
		p.Named, again.Named = nil, nil
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("changed by writing it and reading it again:\n%s\n%s", diff, b)
		}
	})
}
