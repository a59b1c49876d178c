package profiles

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, text string
		o          Overrides
		want       string // one error a line
	}{
		{"unknown key", "rounds: 3\nround: 3\n", Overrides{}, `m.yaml:2: round: unknown key "round" (did you mean rounds?)`},
		{"capitals", "Rounds: 3\n", Overrides{}, `m.yaml:1: Rounds: unknown key "Rounds" (did you mean rounds?)`},
		{"name", "name: ../x\n", Overrides{}, `m.yaml:1: name: "../x": must be printable, and without /`},
		{"no near name", "factors:\n  colour: [red]\n", Overrides{},
			`m.yaml:2: factors.colour: unknown key "colour" (known: workload, runtime, storage, dir, limits, network, fleet, cache, variant)`},
		{"several", "rounds: 0\nfactors:\n  fleet: [1, 0, 1]\n", Overrides{},
			"m.yaml:1: rounds: 0 is too little: the least is 1\n" +
				"m.yaml:3: factors.fleet[1]: 0 is too little: the least is 1\n" +
				"m.yaml:3: factors.fleet[2]: 1 stands twice"},
		{"empty list", "factors: {fleet: []}\n", Overrides{}, "m.yaml:1: factors.fleet: is empty: name at least one level"},
		{"null list", "factors:\n  fleet:\n", Overrides{}, "m.yaml:2: factors.fleet: has no value"},
		{"levels", "factors:\n  workload: [cpu, memroy]\n  runtime: [bare, rnc]\n  storage: [overlayfs]\n  network: [bridged, wireguard]\n  cache: [hot]\n  limits: [smal]\nlimits: {small: {pids: 3}}\n", Overrides{},
			"m.yaml:2: factors.workload[1]: unknown workload \"memroy\" (did you mean memory?)\n" +
				"m.yaml:3: factors.runtime[1]: unknown runtime \"rnc\" (did you mean runc?); an OCI runtime of your own is NAME=oci:PATH\n" +
				"m.yaml:4: factors.storage[0]: unknown storage \"overlayfs\" (did you mean overlay?)\n" +
				"m.yaml:7: factors.limits[0]: unknown limits \"smal\" (did you mean small?)\n" +
				"m.yaml:5: factors.network[0]: unknown network \"bridged\" (did you mean bridge?)\n" +
				"m.yaml:5: factors.network[1]: unknown network \"wireguard\" (known: none, host, bridge, nat)\n" +
				"m.yaml:6: factors.cache[0]: unknown cache \"hot\" (known: warm, cold)"},
		{"one name twice", "factors: {runtime: [bare, 'pr=oci:a', 'pr=oci:b']}\n", Overrides{}, "m.yaml:1: factors.runtime[2]: runtime pr stands twice"},
		{"workload parameters", "workloads:\n  io:\n    params:\n      blok: [4KiB]\n  cpu: {params: {n: [5], duration: [soon, 0s]}}\n", Overrides{},
			"m.yaml:4: workloads.io.params.blok: unknown key \"blok\" (did you mean block?)"},
		{"parameter values", "workloads:\n  cpu:\n    repeats: 0\n    params:\n      n: [5, 10, 10]\n      duration: [soon, 0s]\n      part: [linpac]\n  io: {params: {block: [4K, 1, 4096, 4KiB], direct: [yes]}}\n", Overrides{},
			"m.yaml:3: workloads.cpu.repeats: 0 is too little: the least is 1\n" +
				"m.yaml:7: workloads.cpu.params.part[0]: unknown value \"linpac\" (did you mean linpack?)\n" +
				"m.yaml:5: workloads.cpu.params.n[0]: 5 is too little: the least is 10\n" +
				"m.yaml:5: workloads.cpu.params.n[2]: 10 stands twice\n" +
				"m.yaml:6: workloads.cpu.params.duration[0]: \"soon\" is not a duration (write it like 200ms, 1.5s or 2m)\n" +
				"m.yaml:6: workloads.cpu.params.duration[1]: 0s is too little: the least is 1ms\n" +
				"m.yaml:8: workloads.io.params.block[0]: \"4K\" has no known unit (use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB)\n" +
				"m.yaml:8: workloads.io.params.block[1]: 1 is too little: the least is 512B\n" +
				"m.yaml:8: workloads.io.params.block[3]: 4KiB stands twice\n" +
				"m.yaml:8: workloads.io.params.direct[0]: unknown value \"yes\" (known: true, false)"},
		{"limits", `limits:
  a: {memory: 64}
  b: {memory: 600000}
  c: {cpu: 0.001}
  d: {cpu: -1, cpu_weight: 10001, cpuset: 3-1, pids: 0}
  e: {cpu_period: 10us, cpu: 1}
  f: {cpu_period: 10ms}
  g: {cpu: 0.5, cpu_period: 1500}
  h: {cpu: 0.001, cpu_period: 1s}
  i: {cpu: nan}
`, Overrides{},
			"m.yaml:2: limits.a.memory: 64 is too little: below 512KiB no program starts\n" +
				"m.yaml:3: limits.b.memory: 600000 is not a whole number of pages: the next below is 584KiB\n" +
				"m.yaml:4: limits.c.cpu: 0.001 is too little: the least is 0.01, the kernel's least quota of 1ms in a period of 100ms\n" +
				"m.yaml:5: limits.d.cpu_weight: 10001 is too much: the most is 10000\n" +
				"m.yaml:5: limits.d.cpuset: \"3-1\" is not a list of numbers and ranges (write it like 0-1,3)\n" +
				"m.yaml:5: limits.d.pids: 0 is too little: the least is 1\n" +
				"m.yaml:5: limits.d.cpu: -1 is too little: the least is 0.01, the kernel's least quota of 1ms in a period of 100ms\n" +
				"m.yaml:6: limits.e.cpu_period: 10us: the kernel takes periods from 1ms to 1s\n" +
				"m.yaml:7: limits.f.cpu_period: does nothing without cpu\n" +
				"m.yaml:8: limits.g.cpu: 0.5 is too little: the least is 0.667, the kernel's least quota of 1ms in a period of 1.5ms\n" +
				"m.yaml:10: limits.i.cpu: \"nan\" is not a number of CPUs (write it like 0.5)"},
		{"io limits", "limits:\n  a:\n    io:\n    - {device: sda, read_bps: 1MiB}\n    - {device: workdir}\n    - {device: workdir, read_iops: 0}\n    - {divice: workdir}\n", Overrides{},
			`m.yaml:7: limits.a.io[3].divice: unknown key "divice" (did you mean device?)`},
		{"io values", "limits:\n  a:\n    io:\n    - {device: sda, read_bps: 1MiB}\n    - {device: workdir}\n    - {device: workdir, read_iops: 0}\n", Overrides{},
			"m.yaml:4: limits.a.io[0].device: must be workdir, the path of a block device, or MAJOR:MINOR\n" +
				"m.yaml:5: limits.a.io[1]: limits nothing: set read_bps, write_bps, read_iops or write_iops\n" +
				"m.yaml:6: limits.a.io[2].read_iops: 0 is too little: the least is 1\n" +
				"m.yaml:6: limits.a.io[2]: limits nothing: set read_bps, write_bps, read_iops or write_iops\n" +
				"m.yaml:6: limits.a.io[2].device: workdir stands twice"},
		{"limits of swap and huge pages", `limits:
  a: {swap: none}
  b: {memory: 64MiB, swap: 0}
  c: {io_weight: 0}
  d:
    hugetlb:
    - {page: 3MiB, limit: 3MiB}
    - {page: 2MiB, limit: 3MiB}
    - {page: 2MiB}
`, Overrides{},
			"m.yaml:2: limits.a.swap: does nothing without memory: version 1 of cgroups limits the sum of both\n" +
				"m.yaml:3: limits.b.swap: 0 is too little: the least is one page, 4KiB; none is no swap at all\n" +
				"m.yaml:4: limits.c.io_weight: 0 is too little: the least is 1\n" +
				"m.yaml:7: limits.d.hugetlb[0].page: 3MiB is not a power of 2: see /sys/kernel/mm/hugepages\n" +
				"m.yaml:8: limits.d.hugetlb[1].limit: 3MiB is not a whole number of pages\n" +
				"m.yaml:9: limits.d.hugetlb[2]: needs a page size and a limit: {page: 2MiB, limit: 64MiB}\n" +
				"m.yaml:9: limits.d.hugetlb[2].page: 2MiB stands twice"},
		{"limits without a limit", "limits: {a: }\n", Overrides{}, "m.yaml:1: limits.a: limits nothing: set cpu, cpu_weight, cpuset, memory, pids, io, io_weight or hugetlb, or leave it out"},
		{"limits' name", "limits: {Small: {pids: 3}, none: {pids: 3}, a.b: {pids: 3}}\n", Overrides{},
			"m.yaml:1: limits.Small: a name must be small letters, digits, - and _, and not none\n" +
				"m.yaml:1: limits.none: a name must be small letters, digits, - and _, and not none\n" +
				"m.yaml:1: limits.a.b: a name must be small letters, digits, - and _, and not none"},
		{"exclusions", "exclude:\n- {runtime: rnc}\n- {}\n- {workload: cpu, params: {rung: pid}}\n- {params: {rung: pdi}}\n", Overrides{},
			"m.yaml:2: exclude[0].runtime[0]: unknown runtime \"rnc\" (did you mean runc?)\n" +
				"m.yaml:3: exclude[1]: names no level, and would exclude everything\n" +
				"m.yaml:4: exclude[2].params.rung[0]: is no parameter of these workloads\n" +
				"m.yaml:5: exclude[3].params.rung[0]: unknown value \"pdi\" (did you mean pid?)"},
		{"shapes", "rounds: [1]\nfactors: [cpu]\nexclude: {runtime: runc}\nlimits: {a: 3}\n? [x]\n: y\n", Overrides{},
			"m.yaml:1: rounds: must be a value\n" +
				"m.yaml:2: factors: must be a mapping\n" +
				"m.yaml:3: exclude: must be a list of mappings\n" +
				"m.yaml:4: limits.a: must be a mapping\n" +
				"m.yaml:5: a key must be a name"},
		{"twice", "rounds: 3\nrounds: 4\n", Overrides{}, "m.yaml:2: rounds: stands twice (first on line 1)"},
		{"alias", "rounds: &a 3\nseed: *a\n", Overrides{}, "m.yaml:2: seed: YAML aliases are not used in profiles: write the value out"},
		{"not YAML", "rounds: 3\n\tgap: 3\n", Overrides{}, "m.yaml:2: found a tab character that violates indentation"},
		{"empty", "# nothing\n", Overrides{}, "m.yaml: is empty: `bench profiles show quick` prints one to start from"},
		{"two documents", "rounds: 3\n---\nrounds: 4\n", Overrides{}, "m.yaml: has more than one YAML document: keep one"},
		{"flags", "rounds: 3\n", Overrides{Set: []Setting{
			{"--rounds", "rounds", "many"}, {"--set factors.flet=1", "factors.flet", "1"}, {"--set exclude=[", "exclude", "["}}},
			"--set factors.flet=1: factors.flet: unknown key \"flet\" (did you mean fleet?)\n" +
				"--set exclude=[: exclude: did not find expected node content"},
		{"flag's value", "rounds: 3\n", Overrides{Set: []Setting{{"--rounds", "rounds", "many"}}}, `--rounds: rounds: "many" is not a whole number`},
		{"environment", "limits: {a-b: {pids: 3}}\n", Overrides{Environ: []string{"PLIMSOLL_ROUND=3", "PLIMSOLL_REQUIRE=root", "PLIMSOLL_LIMITS_A_B_PIDS=4", "PLIMSOLL_COLOURS=1"}},
			"PLIMSOLL_COLOURS: sets nothing in a profile\n" +
				"PLIMSOLL_ROUND: sets nothing in a profile (did you mean PLIMSOLL_ROUNDS?)"},
		{"environment's value", "rounds: 3\n", Overrides{Environ: []string{"PLIMSOLL_FACTORS_FLEET=1,x"}},
			`PLIMSOLL_FACTORS_FLEET: factors.fleet[1]: "x" is not a whole number`},
		{"too large", strings.Repeat("#", sizeLimit+1), Overrides{}, "m.yaml: is over 1MiB: not a profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse("m.yaml", []byte(c.text), c.o)
			if err == nil {
				t.Fatalf("no error: %+v", p)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseSetRefuses(t *testing.T) {
	for _, arg := range []string{"", "rounds", "=3"} {
		if s, err := ParseSet(arg); err == nil {
			t.Errorf("%q gives %+v, want an error", arg, s)
		}
	}
}
