package reports

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"plimsoll/profiles"
	"plimsoll/runner"
)

// synthetic builds journals that no host has to run for: what each cell
// measures is known, the noise is seeded.
type synthetic struct {
	rng     *rand.Rand
	journal *runner.Journal
	round   int
	drift   float64
}

func newSynthetic(host string, seed uint64, rounds int) *synthetic {
	started := time.Date(2026, 11, 21, 9, 4, 11, 0, time.UTC)
	return &synthetic{
		rng: rand.New(rand.NewPCG(seed, 1)),
		journal: &runner.Journal{Header: runner.Header{
			Schema: runner.Schema, Run: fmt.Sprintf("20261121-090411-%04x", seed), Started: started, Seed: seed,
			Tool:    runner.Tool{Name: "bench", Version: "0.1.0", Go: "go1.26.8", Arch: "amd64"},
			Command: []string{"bench", "run", "quick", "--seed", fmt.Sprint(seed), "--set", "factors.fleet=[1, 8]"},
			Profile: profiles.Profile{Name: "quick", Description: "what a container costs here against a bare process, in about a minute",
				Rounds: rounds, Seed: seed, Gap: 20 * time.Millisecond, Timeout: 20 * time.Second, Budget: 90 * time.Second},
			Levels: runner.Levels{
				"runtime": {"runc": {"path": "/usr/bin/runc", "version": "1.1.5"}, "isolate": {"version": "0.1.0"}},
				"storage": {"overlay": {"type": "overlay", "options": "metacopy=off"}},
				"limits":  {"small": {"cpu": "0.5", "memory": "64MiB", "pids": "64"}},
			},
			Hosts: []runner.HostInfo{{Name: host, Fingerprint: "9f3a0c", Facts: map[string]string{
				"kernel.release": "6.18.2", "cpu.model": "AMD EPYC 7763", "cpu.logical": "2", "cpu.governor": "performance",
				"memory.total": "8345071616", "cgroup.layout": "hybrid", "virt.type": "kvm",
			}}},
		}},
	}
}

// rounds runs trial for every round, under a host speed of its own.
func (s *synthetic) rounds(n int, trial func()) *synthetic {
	for s.round = range n {
		s.drift = math.Exp(0.01 * s.rng.NormFloat64())
		trial()
	}
	return s
}

// measured is what one trial yields: metric, unit, better, typical value and
// relative noise.
type measured struct {
	metric, unit string
	better       runner.Better
	value, noise float64
}

func seconds(metric string, v, noise float64) measured {
	return measured{metric, "s", runner.Lower, v, noise}
}

func rate(metric, unit string, v, noise float64) measured {
	return measured{metric, unit, runner.Higher, v, noise}
}

func (s *synthetic) trial(k runner.Key, all ...measured) {
	j := s.journal
	k = k.WithDefaults()
	k.Host = j.Header.Hosts[0].Name
	id := len(j.Trials)
	for _, m := range all {
		noise := s.rng.NormFloat64() * m.noise
		if s.rng.Float64() < 0.08 {
			noise += m.noise * 4 * s.rng.ExpFloat64() // now and then something else runs
		}
		v := m.value * s.drift * math.Exp(noise)
		if m.better == runner.Higher {
			v = m.value / s.drift / math.Exp(noise)
		}
		j.Samples = append(j.Samples, runner.Sample{Kind: "sample", Key: k, Round: s.round, Trial: id,
			Metric: m.metric, Unit: m.unit, Better: m.better, Value: v, T: float64(id) * 0.1})
	}
	j.Trials = append(j.Trials, runner.TrialRecord{Kind: "trial", Trial: id, Key: k, Round: s.round, Samples: len(all), Outcome: "ok",
		Host: map[string]float64{"steal": 0.002 * s.rng.Float64(), "load1": 0.4, "psi_cpu": 0.05 * s.rng.Float64(), "psi_memory": 0, "psi_io": 0.01}})
}

func (s *synthetic) fail(k runner.Key, op, text string) {
	j := s.journal
	id := len(j.Trials)
	k = k.WithDefaults()
	k.Host = j.Header.Hosts[0].Name
	j.Failures = append(j.Failures, runner.Failure{Kind: "failure", Key: k, Trial: id, Op: op, Error: text})
	j.Trials = append(j.Trials, runner.TrialRecord{Kind: "trial", Trial: id, Key: k, Round: s.round, Outcome: "failed"})
}

func (s *synthetic) end(status string) *runner.Journal {
	j := s.journal
	j.Header.Trials = len(j.Trials)
	j.Footer = &runner.Footer{Kind: "footer", Ended: j.Header.Started.Add(74 * time.Second), Status: status,
		Samples: len(j.Samples), Failures: len(j.Failures), Skips: len(j.Skips)}
	return j
}

func bare(workload string) runner.Key { return runner.Key{Workload: workload, Runtime: "bare"} }

func container(workload, runtime string) runner.Key {
	return runner.Key{Workload: workload, Runtime: runtime, Storage: "overlay", Network: "none"}
}

// operations of a start, in order, with typical seconds.
var operations = []struct {
	name string
	s    float64
}{
	{"clone3", 0.31e-3}, {"close_range", 2e-6}, {"join cgroup cpu", 24e-6}, {"join cgroup memory", 31e-6}, {"unshare cgroup", 6e-6},
	{"mount private", 9e-6}, {"mount overlay", 0.29e-3}, {"mount proc", 61e-6}, {"mount dev", 48e-6}, {"mount sys", 37e-6},
	{"pivot_root", 22e-6}, {"umount old root", 95e-6}, {"sethostname", 1e-6}, {"no_new_privs", 0.4e-6}, {"bounding set", 5e-6},
	{"capset", 1e-6}, {"seccomp", 14e-6}, {"execve", 0.12e-3}, {"exec to ready", 88e-6}, {"exit to reaped", 0.21e-3},
}

func starts(factor float64) []measured {
	return []measured{
		seconds("start_to_ready", factor*0.16e-3, 0.03), seconds("start_to_exit", factor*0.233e-3, 0.03),
		seconds("remove", factor*0.05e-3, 0.05),
	}
}

// quick is a run of the profile of that name: six rounds, ten starts of each
// cell in each, everything else once.
func quick(host string, seed uint64, rounds int) *runner.Journal {
	s := newSynthetic(host, seed, rounds)
	s.rounds(rounds, func() {
		for range 10 {
			s.trial(bare("startup"), starts(1)...)
			s.trial(bare("startup").Control(), starts(1)...)
			phases := append(starts(6.1), seconds("provision", 0.34e-3, 0.1), seconds("cgroup_create", 0.18e-3, 0.1))
			for _, o := range operations {
				phases = append(phases, seconds("phase/"+o.name, o.s, 0.08))
			}
			s.trial(container("startup", "isolate"), phases...)
			s.trial(container("startup", "runc"), starts(98)...)
			s.trial(container("startup", "crun"), starts(43)...)
		}
		for _, k := range []runner.Key{bare("cpu"), bare("cpu").Control(), container("cpu", "isolate"), container("cpu", "runc")} {
			slow := 1.0
			if k.Runtime == "runc" {
				slow = 1.12 // as with seccomp on the system-call path
			}
			s.trial(k, rate("flops", "flop/s", 7.51e9, 0.004), rate("integer", "op/s", 1.92e9, 0.002),
				rate("syscall", "op/s", 11.2e6/slow, 0.01), rate("context_switch", "op/s", 412e3, 0.05))
		}
		for _, k := range []runner.Key{bare("memory"), bare("memory").Control(), container("memory", "isolate"), container("memory", "runc")} {
			s.trial(k, rate("triad", "B/s", 35.6e9, 0.006), rate("copy", "B/s", 33.1e9, 0.006),
				seconds("latency", 92.4e-9, 0.002), rate("page_fault", "op/s", 1.31e6, 0.02))
		}
		for _, k := range []runner.Key{bare("io"), bare("io").Control(), container("io", "isolate"), container("io", "runc")} {
			overlay := 1.0
			if k.Runtime != "bare" {
				overlay = 1.09
			}
			s.trial(k, rate("seq_read", "B/s", 4.2e9, 0.02), rate("rand_read", "op/s", 612e3, 0.02),
				seconds("fsync", overlay*1.8e-3, 0.15), rate("metadata", "op/s", 81e3/overlay, 0.01))
		}
	})
	j := s.journal
	j.Calibrations = []runner.Calibration{
		{Kind: "calibration", Host: host, Metric: "clock_read", Unit: "s", Values: []float64{24e-9, 25e-9, 24e-9, 26e-9, 25e-9, 25e-9, 31e-9}},
		{Kind: "calibration", Host: host, Metric: "harness_launch", Unit: "s", Values: []float64{11e-6, 12e-6, 12e-6, 11e-6, 13e-6, 12e-6}},
	}
	return s.end("complete")
}

// eventful adds what can go wrong in a run to quick.
func eventful() *runner.Journal {
	s := newSynthetic("vm", 9, 8)
	small := container("startup", "isolate")
	small.Limits = "small"
	s.rounds(8, func() {
		for _, rung := range []string{"pid", "six", ""} {
			k := container("startup", "isolate")
			if rung != "" {
				k.Params = "rung=" + rung
			}
			s.trial(k, starts(3+float64(len(rung)))...)
		}
		s.trial(bare("startup"), starts(1)...)
		if s.round < 3 {
			s.fail(small, "write cpu.max", "write /sys/fs/cgroup/cpu.max: EINVAL")
		} else {
			s.trial(small, starts(7)...)
		}
		fleet := container("startup", "isolate")
		fleet.Fleet = 8
		s.trial(fleet, starts(11)...)
	})
	j := s.journal
	for i := range j.Trials {
		if j.Trials[i].Host != nil {
			j.Trials[i].Host["steal"] = 0.04
		}
	}
	j.Skips = []runner.Skip{{Kind: "skip", Key: container("startup", "runc"), Reason: "runc: not found in PATH", Fix: "apt-get install runc", Named: true}}
	trial := 4
	j.Warnings = []runner.Warning{
		{Kind: "warning", Code: "swap", Text: "swap is on: memory figures may include paging; swapoff -a"},
		{Kind: "warning", Trial: &trial, Code: "throttled", Text: "the CPU quota was reached: raise the limit, or read the figure as the limit's"},
	}
	j.Notes = []string{"line 612: a torn last line was dropped"}
	return s.end("interrupted")
}
