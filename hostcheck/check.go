package hostcheck

import (
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Verdict is what a check means for a use of the host.
type Verdict string

const (
	Pass    Verdict = "pass"
	Warn    Verdict = "warn"
	Fail    Verdict = "fail"
	Skip    Verdict = "skip"    // does not apply here, or is not needed for the use
	Unknown Verdict = "unknown" // cannot be known from where we stand
)

// Answer is what a check found, whatever the use.
type Answer string

const (
	Yes         Answer = "yes"
	No          Answer = "no"
	Partly      Answer = "partly" // it works, with something to mend
	CannotTell  Answer = "cannot tell"
	NotRelevant Answer = "not relevant"
)

// Evidence is what an answer rests on: a system call with what it returned,
// or a file with its value.
type Evidence struct {
	Call  string `json:"call,omitempty"`
	Errno string `json:"errno,omitempty"` // "" for success
	File  string `json:"file,omitempty"`
	Value string `json:"value,omitempty"`
}

func (e Evidence) String() string {
	if e.File != "" {
		return e.File + ": " + e.Value
	}
	if e.Errno == "" {
		return strings.TrimSuffix(e.Call+": "+e.Value, ": ") + ": ok"
	}
	return e.Call + ": " + e.Errno
}

// Outcome is what one check found, with its evidence.
type Outcome struct {
	Answer   Answer
	Detail   string // one line
	Evidence []Evidence
	Fix      string // in place of the check's, where more is known
}

// Check is one thing that a container host may have. Checks are data: the
// table of them is in the files named checks_*.go.
type Check struct {
	ID      string   // stable: "ns.pid"
	Group   string   // "namespaces"
	Title   string   // what the host can do if it passes
	Why     string   // what for
	Needs   needs    // by whom
	Options []string // kernel options without which it cannot pass, and which explain a failure
	Fix     string   // commands that can be pasted, or what to change
	probe   func(*host) Outcome
}

// Result is a check that was made.
type Result struct {
	ID       string     `json:"id"`
	Group    string     `json:"group"`
	Title    string     `json:"title"`
	Why      string     `json:"why,omitempty"`
	Severity Severity   `json:"severity,omitempty"` // for the use asked
	Verdict  Verdict    `json:"verdict"`            // for the use asked
	Answer   Answer     `json:"answer"`
	Detail   string     `json:"detail,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
	Explains string     `json:"explained_by,omitempty"` // kernel options that explain it
	Fix      string     `json:"fix,omitempty"`
	Decided  string     `json:"decided_by,omitempty"` // for a kernel option: the probe that decides instead
	Needs    needs      `json:"-"`
}

// For is the verdict for one use.
func (r Result) For(u Use) Verdict { return judge(r.Answer, r.Needs.of(u)) }

// Severity is how much a use needs the check.
func (c Check) Severity(u Use) Severity { return c.Needs.of(u) }

// judge combines what was found with how much it matters.
func judge(a Answer, s Severity) Verdict {
	switch {
	case a == NotRelevant || s == NotNeeded:
		return Skip
	case a == Yes:
		return Pass
	case a == Partly:
		return Warn
	case a == CannotTell:
		return Unknown
	case s == Required:
		return Fail
	}
	return Warn
}

// yes, no and the like make outcomes.

func yes(detail string, ev ...Evidence) Outcome    { return Outcome{Yes, detail, ev, ""} }
func no(detail string, ev ...Evidence) Outcome     { return Outcome{No, detail, ev, ""} }
func partly(detail string, ev ...Evidence) Outcome { return Outcome{Partly, detail, ev, ""} }
func skip(detail string, ev ...Evidence) Outcome   { return Outcome{NotRelevant, detail, ev, ""} }

func cannotTell(detail string, ev ...Evidence) Outcome {
	return Outcome{CannotTell, detail, ev, ""}
}

// withFix replaces the check's fix.
func (o Outcome) withFix(fix string) Outcome { o.Fix = fix; return o }

// file is the evidence of a file's value.
func file(name, value string) Evidence {
	if value == "" {
		value = "not there"
	}
	return Evidence{File: name, Value: value}
}

// call is the evidence of a system call.
func call(name string, err error) Evidence {
	e := Evidence{Call: name}
	if err != nil {
		e.Errno = errnoName(err)
	}
	return e
}

// errnoName is the symbol of the errno at the bottom of err, else its text.
func errnoName(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if name := unix.ErrnoName(errno); name != "" {
			return name
		}
	}
	return err.Error()
}
