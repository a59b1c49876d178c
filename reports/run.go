package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// hostsOf lists the hosts of a journal: those of the header, then any other
// that a record names. A journal without one is of one host without a name.
func hostsOf(j *runner.Journal) []runner.HostInfo {
	hosts := slices.Clone(j.Header.Hosts)
	add := func(name string) {
		if !slices.ContainsFunc(hosts, func(h runner.HostInfo) bool { return h.Name == name }) {
			hosts = append(hosts, runner.HostInfo{Name: name})
		}
	}
	one := len(hosts) == 1
	for _, t := range j.Trials {
		if !one || t.Key.Host != "" {
			add(t.Key.Host)
		}
	}
	for _, s := range j.Skips {
		if !one || s.Key.Host != "" {
			add(s.Key.Host)
		}
	}
	if len(hosts) == 0 {
		hosts = append(hosts, runner.HostInfo{})
	}
	return hosts
}

// ofHost tells the records of one host; keys of a journal of one host may
// leave its name out.
func ofHost(j *runner.Journal, host string) func(runner.Key) bool {
	one := len(j.Header.Hosts) == 1
	return func(k runner.Key) bool { return k.Host == host || one && k.Host == "" }
}

func newRun(j *runner.Journal, host runner.HostInfo) Run {
	mine := ofHost(j, host.Name)
	h := j.Header
	run := Run{
		Label: strings.TrimSpace(cmp.Or(host.Name, "host") + " · " + cmp.Or(h.Run, "run")),
		ID:    h.Run, Host: host.Name, Fingerprint: host.Fingerprint, Facts: host.Facts,
		Tool: h.Tool, Started: h.Started, Status: "unfinished", Resumed: len(j.Resumes),
		Command: h.Command, Seed: h.Seed, Trials: Trials{Planned: h.Trials},
		Profile: h.Profile, Levels: h.Levels, Notes: j.Notes,
	}
	if j.Footer != nil {
		run.Status, run.Ended = j.Footer.Status, &j.Footer.Ended
	}
	var trials []runner.TrialRecord
	for _, t := range j.Trials {
		if !mine(t.Key) {
			continue
		}
		trials = append(trials, t)
		run.Trials.Done++
		if t.Outcome != "ok" {
			run.Trials.Failed++
		}
	}
	var samples []runner.Sample
	absurd := 0
	for _, s := range j.Samples {
		switch {
		case !mine(s.Key):
		case plausible(s.Value):
			samples = append(samples, s)
		default:
			absurd++
		}
	}
	if absurd > 0 {
		run.Notes = append(slices.Clone(run.Notes), fmt.Sprintf("%s left out: values that no host measures", counted(absurd, "sample")))
	}
	for _, s := range j.Skips {
		if mine(s.Key) {
			run.Skips = append(run.Skips, Skip{s.Key, s.Reason, s.Fix, s.Named})
		}
	}
	for _, c := range j.Calibrations {
		if len(c.Values) > 0 && !slices.ContainsFunc(c.Values, func(v float64) bool { return !plausible(v) }) && (c.Host == host.Name || c.Host == "") {
			run.Harness = append(run.Harness, Overhead{c.Metric, c.Unit, stat.Summarize(c.Values, stat.Confidence)})
		}
	}
	run.Failures = failures(j.Failures, mine)
	run.Trust = trustOf(trials)
	run.Workloads = workloads(samples, trials)
	run.Rules = judge(run.Workloads)
	run.Storage = newStorage(run)
	run.Warnings = append(advice(run), recorded(j.Warnings, j.Trials, mine)...)
	run.Headline = headline(run)
	return run
}

// plausible keeps out what would make sums and ratios infinite: in any unit,
// 30 orders of magnitude hold all that is measured.
func plausible(v float64) bool {
	a := math.Abs(v)
	return a == 0 || a > 1e-30 && a < 1e30
}

// failures groups what failed alike, in order of appearance.
func failures(records []runner.Failure, mine func(runner.Key) bool) []Failure {
	var all []Failure
	for _, f := range records {
		if !mine(f.Key) {
			continue
		}
		i := slices.IndexFunc(all, func(g Failure) bool { return g.Key == f.Key && g.Op == f.Op && g.Error == f.Error })
		if i < 0 {
			all = append(all, Failure{Key: f.Key, Op: f.Op, Error: f.Error})
			i = len(all) - 1
		}
		all[i].Trials = append(all[i].Trials, f.Trial)
	}
	return all
}

// recorded groups the journal's own warnings by code and text, in order of
// appearance. One about a trial belongs to that trial's host. What clones did
// instead is for who reads the journal: the report says on which, and what follows.
func recorded(records []runner.Warning, trials []runner.TrialRecord, mine func(runner.Key) bool) []Warning {
	foreign := map[int]bool{}
	for _, t := range trials {
		foreign[t.Trial] = !mine(t.Key)
	}
	var all []Warning
	for _, w := range records {
		if w.Trial != nil && foreign[*w.Trial] || isQuirk(w.Code) {
			continue
		}
		i := slices.IndexFunc(all, func(g Warning) bool { return g.Code == w.Code && g.Text == w.Text })
		if i < 0 {
			all = append(all, Warning{Code: w.Code, Text: w.Text})
			i = len(all) - 1
		}
		if w.Trial != nil {
			all[i].Trials++
		}
	}
	return all
}
