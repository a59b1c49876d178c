// Package reports computes what a journal says, and renders it.
//
// A [Report] is plain data made from journals alone, on any machine and at
// any later time: [New] is a pure function of them. Renderers take a Report
// and compute nothing: [Text], [JSON] and [HTML], one file each. The rules of
// the statistics are those of package stat.
package reports

import (
	"errors"
	"fmt"
	"time"

	"plimsoll/profiles"
	"plimsoll/reports/stat"
	"plimsoll/runner"
)

// Schema is the version of the report's JSON form. It changes when a field
// goes or changes its meaning; new fields do not change it.
const Schema = 1

// Margin is the relative difference that does not matter: within ratios from
// 1/1.02 to 1.02 a cell and its baseline are the same. It is set here and not
// in a profile, so that nobody chooses it after having seen the figures.
const Margin = 0.02

// Report is what some journals say, run by run.
type Report struct {
	Schema int      `json:"schema"`
	Runs   []Run    `json:"runs"`
	Beside []Beside `json:"beside,omitempty"` // of several runs, cell by cell
	Notes  []string `json:"notes,omitempty"`  // what keeps the runs from being compared
}

// Run is one run on one host. Samples of different runs or hosts are never
// put together: they stand side by side.
type Run struct {
	Label       string            `json:"label"` // host and run, unique in the report
	ID          string            `json:"run"`
	Host        string            `json:"host"`
	Fingerprint string            `json:"fingerprint,omitempty"`
	Facts       map[string]string `json:"facts,omitempty"`
	Tool        runner.Tool       `json:"tool"`
	Started     time.Time         `json:"started"`
	Ended       *time.Time        `json:"ended,omitempty"`
	Status      string            `json:"status"` // complete, interrupted, or unfinished: no footer
	Resumed     int               `json:"resumed,omitempty"`
	Command     []string          `json:"command,omitempty"` // argv that reproduces the run
	Seed        uint64            `json:"seed"`
	Trials      Trials            `json:"trials"`

	Headline  []string   `json:"headline"` // the answer in a few sentences
	Rules     Rules      `json:"rules"`
	Trust     Trust      `json:"trust"`
	Workloads []Workload `json:"workloads"`
	Storage   *Storage   `json:"storage,omitempty"` // nil where no workload on storage was run
	Harness   []Overhead `json:"harness,omitempty"`
	Skips     []Skip     `json:"skips,omitempty"`
	Failures  []Failure  `json:"failures,omitempty"`
	Warnings  []Warning  `json:"warnings,omitempty"`
	Notes     []string   `json:"notes,omitempty"` // what was passed over in reading the journal

	Profile profiles.Profile `json:"profile"`
	Levels  runner.Levels    `json:"levels,omitempty"`
}

// Trials counts the trials of a run. Failed ones are among Done. With several
// hosts in a journal, Planned is of all of them.
type Trials struct {
	Planned int `json:"planned"`
	Done    int `json:"done"`
	Failed  int `json:"failed"`
}

// Rules are what the verdicts were read by.
type Rules struct {
	Margin      float64 `json:"margin"`      // relative: 0.02 is ratios from 1/1.02 to 1.02
	Confidence  float64 `json:"confidence"`  // of every interval that is shown
	Comparisons int     `json:"comparisons"` // verdicts in this run
	Corrected   float64 `json:"corrected"`   // confidence of the interval behind each verdict
}

// Workload holds the figures of one workload.
type Workload struct {
	Name       string      `json:"name"`
	Help       string      `json:"help,omitempty"`
	Common     string      `json:"common,omitempty"` // levels that all its containers share, "storage=overlay network=none"
	Metrics    []Metric    `json:"metrics"`
	Breakdowns []Breakdown `json:"breakdowns,omitempty"`
	Quirks     []Quirk     `json:"quirks,omitempty"`
}

// Metric is one metric of a workload, by cell.
type Metric struct {
	Name          string        `json:"name"`
	Unit          string        `json:"unit"`
	Better        runner.Better `json:"better"`
	ContainerOnly bool          `json:"container_only,omitempty"` // a bare process has nothing of the kind
	Rows          []Row         `json:"rows"`
}

// Role is what a row is for.
type Role string

const (
	Baseline Role = "baseline"
	Control  Role = "control" // A/A: the baseline a second time
	Cell     Role = "cell"
)

// Row is one cell's figures for one metric, in its unit.
type Row struct {
	Key        runner.Key   `json:"key"`
	Label      string       `json:"label"` // runtime, and the levels that tell the cell from its neighbours
	Role       Role         `json:"role"`
	Summary    stat.Summary `json:"summary"` // of the medians of the rounds
	Values     int          `json:"values"`  // of all trials and instances, pooled
	Spread     stat.Spread  `json:"spread"`  // of the pooled values
	Tails      []stat.Tail  `json:"tails"`   // likewise
	Comparison *Comparison  `json:"comparison,omitempty"`
	Untrusted  []string     `json:"untrusted,omitempty"` // what disturbed the host during its trials

	values []float64 // pooled, for plots
}

// Comparison holds a row against its baseline.
type Comparison struct {
	Baseline runner.Key     `json:"baseline"`
	Ratio    stat.Ratio     `json:"ratio"`                   // row / baseline
	Interval *stat.Interval `json:"interval,omitempty"`      // of the ratio, at Rules.Confidence
	Judged   *stat.Interval `json:"judged,omitempty"`        // at Rules.Corrected: what the verdict is read off
	Floor    *float64       `json:"floor,omitempty"`         // noise floor, relative; nil where no A/A control tells it
	Verdict  stat.Verdict   `json:"verdict,omitempty"`       // none for a control, or without a ratio
	Rounds   int            `json:"rounds_needed,omitempty"` // estimate, where more rounds could decide
	Text     string         `json:"text"`
}

// Breakdown is what a start consists of, operation by operation.
type Breakdown struct {
	Key        runner.Key  `json:"key"`
	Label      string      `json:"label"`
	Sum        float64     `json:"sum"`             // of the operations' medians, s
	Whole      float64     `json:"whole,omitempty"` // median start_to_exit of the same cell, s
	Operations []Operation `json:"operations"`      // in the order in which they ran
}

// Operation is one entry of a breakdown.
type Operation struct {
	Name   string  `json:"name"`
	Median float64 `json:"median"` // s
	Share  float64 `json:"share"`  // of Sum, 0 to 1
}

// Overhead is what the harness itself costs, measured before the first trial.
type Overhead struct {
	Metric  string       `json:"metric"`
	Unit    string       `json:"unit"`
	Summary stat.Summary `json:"summary"`
}

// Skip is a cell that the host could not run.
type Skip struct {
	Key    runner.Key `json:"key"`
	Reason string     `json:"reason"`
	Fix    string     `json:"fix,omitempty"`
	Named  bool       `json:"named,omitempty"` // the user named it
}

// Failure is an operation that failed in the same way in some trials.
type Failure struct {
	Key    runner.Key `json:"key"`
	Op     string     `json:"op"`
	Error  string     `json:"error"`
	Trials []int      `json:"trials"`
}

// Warning qualifies the figures; Text ends with what to do. Trials is how
// many gave it, 0 for one about the whole run.
type Warning struct {
	Code   string `json:"code"`
	Text   string `json:"text"`
	Trials int    `json:"trials,omitempty"`
}

// New makes the report of some journals, in their order. A journal with
// several hosts becomes a run for each.
func New(journals ...*runner.Journal) (Report, error) {
	report := Report{Schema: Schema, Runs: []Run{}}
	if len(journals) == 0 {
		return report, errors.New("make a report: no journal was given")
	}
	seen := map[string]int{}
	for i, j := range journals {
		if j == nil {
			return report, fmt.Errorf("make a report: journal %d is missing", i+1)
		}
		for _, host := range hostsOf(j) {
			run := newRun(j, host)
			seen[run.Label]++
			if n := seen[run.Label]; n > 1 {
				run.Label = fmt.Sprintf("%s (%d)", run.Label, n)
			}
			report.Runs = append(report.Runs, run)
		}
	}
	if len(report.Runs) > 1 {
		report.Beside, report.Notes = beside(report.Runs), differences(report.Runs)
	}
	return report, nil
}

// Untrusted reports whether the host of any run was too noisy.
func (r Report) Untrusted() bool {
	for _, run := range r.Runs {
		if !run.Trust.Trusted {
			return true
		}
	}
	return false
}
