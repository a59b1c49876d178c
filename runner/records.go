package runner

import (
	"time"

	"plimsoll/profiles"
)

// Schema is the version of the journal's format.
const Schema = 1

// A journal holds one JSON object a line, "kind" first. These are its
// records; values are in SI base units only: s, B, B/s, flop/s, op/s, 1.

// Header opens a journal: what was asked, of what, on which hosts. What each
// level's name stands for is written here once, resolved.
type Header struct {
	Kind    string           `json:"kind"` // "header"
	Schema  int              `json:"schema"`
	Run     string           `json:"run"` // identifies the run: time and random suffix
	Tool    Tool             `json:"tool"`
	Started time.Time        `json:"started"`
	Seed    uint64           `json:"seed"`
	Command []string         `json:"command"` // argv that reproduces the run
	Profile profiles.Profile `json:"profile"` // resolved: defaults, file, environment and flags applied
	Trials  int              `json:"trials"`  // number planned
	Plan    string           `json:"plan"`    // SHA-256 of the plan's bytes, hexadecimal
	Levels  Levels           `json:"levels"`
	Hosts   []HostInfo       `json:"hosts"`
}

// Tool identifies the program that wrote a journal.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Go      string `json:"go"`
	Arch    string `json:"arch"`
	Hash    string `json:"hash"` // SHA-256 of the executable, hexadecimal
}

// HostInfo describes one host. Facts is flat, so that a report can be made
// anywhere: "cpu.model", "kernel.release", "memory.total" and so on.
type HostInfo struct {
	Name        string            `json:"name"`
	Fingerprint string            `json:"fingerprint"`
	Facts       map[string]string `json:"facts"`
}

// Levels says what the levels' names mean on this host, by factor and level:
// Levels["runtime"]["runc"]["version"]. Equal names with different meanings
// do not match in a comparison.
type Levels map[string]map[string]map[string]string

// Skip is a cell that this host cannot run.
type Skip struct {
	Kind   string `json:"kind"` // "skip"
	Key    Key    `json:"key"`
	Reason string `json:"reason"`
	Fix    string `json:"fix,omitempty"`
	Named  bool   `json:"named,omitempty"` // the user named it: the run exits 3
}

// Better says which direction of a metric is an improvement.
type Better string

const (
	Lower  Better = "lower"
	Higher Better = "higher"
)

// Sample is one measured value of one trial.
type Sample struct {
	Kind     string  `json:"kind"` // "sample"
	Key      Key     `json:"key"`
	Round    int     `json:"round"`
	Trial    int     `json:"trial"`
	Instance int     `json:"instance,omitempty"` // position in the fleet, from 0
	Metric   string  `json:"metric"`
	Unit     string  `json:"unit"`
	Better   Better  `json:"better"`
	Value    float64 `json:"value"`
	T        float64 `json:"t"` // seconds since the header's Started
}

// TrialRecord closes a trial; a trial without one did not happen.
type TrialRecord struct {
	Kind    string             `json:"kind"` // "trial"
	Trial   int                `json:"trial"`
	Key     Key                `json:"key"`
	Round   int                `json:"round"`
	Samples int                `json:"samples"`
	Outcome string             `json:"outcome"` // "ok" or "failed"
	Host    map[string]float64 `json:"host,omitempty"`
}

// Failure is a trial that could not be carried out: Op names the operation.
// It stands before its TrialRecord.
type Failure struct {
	Kind  string `json:"kind"` // "failure"
	Key   Key    `json:"key"`
	Trial int    `json:"trial"`
	Op    string `json:"op"`
	Error string `json:"error"`
}

// Warning qualifies what was measured: Code is stable ("steal",
// "throttled"), Text says what to do. Trial is absent for the whole run.
type Warning struct {
	Kind  string `json:"kind"` // "warning"
	Trial *int   `json:"trial,omitempty"`
	Code  string `json:"code"`
	Text  string `json:"text"`
}

// Calibration is what the harness itself costs, measured before the first
// trial: the value is to be held against the figures, never subtracted.
type Calibration struct {
	Kind   string    `json:"kind"` // "calibration"
	Host   string    `json:"host"`
	Metric string    `json:"metric"` // "clock_read", "harness_launch", ...
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"`
}

// Resume marks where an interrupted run was taken up again.
type Resume struct {
	Kind        string    `json:"kind"` // "resume"
	At          time.Time `json:"at"`
	BootID      string    `json:"boot_id"`
	Fingerprint string    `json:"fingerprint"`
	Trials      int       `json:"trials"` // complete trials before it
}

// Footer closes a journal.
type Footer struct {
	Kind     string    `json:"kind"` // "footer"
	Ended    time.Time `json:"ended"`
	Status   string    `json:"status"` // "complete" or "interrupted"
	Samples  int       `json:"samples"`
	Failures int       `json:"failures"`
	Skips    int       `json:"skips"`
}
