package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Writer appends to a journal. It is for one goroutine.
//
// The lines of a trial go out in one write, so that a killed run leaves whole
// trials and at most one torn line. The file is synced when it is opened and
// closed, and not for each trial: a sync would load the very device that an
// io workload measures, while a crash of the host, the only thing that it
// guards against, invalidates the run around it anyway.
type Writer struct {
	file    *os.File
	started time.Time
	size    int64 // of what was written whole
	result  Result
}

// CreateJournal makes dir/samples.jsonl, which must not be there, and writes
// the header and the plan's skips. It fills in the header's Kind, Schema,
// Seed, Profile, Trials and Plan, and Started where that is zero, and adds the
// plan's [Plan.Levels] to its Levels.
func CreateJournal(dir string, h Header, p Plan) (_ *Writer, err error) {
	h, err = p.header(h)
	if err != nil {
		return nil, err
	}
	// A journal begins whole: it is written under another name first, so that
	// a kill leaves one that reads, or none.
	f, err := os.CreateTemp(dir, headless)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	w := &Writer{file: f, started: h.Started, result: Result{Planned: h.Trials}}
	defer func() {
		if err != nil {
			w.file.Close()
			os.Remove(f.Name())
		}
	}()
	w.result.skips(p.Skips)
	records := []any{h}
	for _, s := range p.Skips {
		records = append(records, s)
	}
	path := filepath.Join(dir, JournalName)
	if err := errors.Join(w.write(records...), f.Chmod(0o644), w.sync()); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("create journal: %s: %w: choose another directory, or continue that run with --resume %s", path, fs.ErrExist, dir)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	f.Close()
	if w.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	return w, nil
}

// headless is the name of a journal without its header, a pattern of
// os.CreateTemp.
const headless = ".samples-*.jsonl"

// header completes a header with what the plan says.
func (p Plan) header(h Header) (Header, error) {
	hash, err := p.Hash()
	if err != nil {
		return Header{}, err
	}
	h.Kind, h.Schema = "header", Schema
	h.Seed, h.Profile, h.Trials, h.Plan = p.Seed, p.Profile, len(p.Trials), hash
	if h.Started.IsZero() {
		h.Started = time.Now().UTC()
	}
	levels := p.Levels()
	for factor, of := range h.Levels {
		levels[factor] = of
	}
	h.Levels = levels
	return h, nil
}

// Trial appends one trial: samples, failure, warnings and its closing record,
// with kind, key, round, trial and time filled in; started is when the trial
// began. A sample that is not a finite number makes the trial a failed one.
func (w *Writer) Trial(t Trial, o Outcome, started time.Time) error {
	var records []any
	end := TrialRecord{Kind: "trial", Trial: t.ID, Key: t.Key, Round: t.Round, Outcome: "ok", Host: o.Host}
	for _, s := range o.Samples {
		s.Kind, s.Key, s.Round, s.Trial, s.T = "sample", t.Key, t.Round, t.ID, started.Sub(w.started).Seconds()
		if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
			o.Failure = &Failure{Op: "measure " + s.Metric, Error: fmt.Sprintf("the value is %v", s.Value)}
			continue
		}
		records = append(records, s)
		end.Samples++
	}
	for _, warning := range o.Warnings {
		warning.Kind, warning.Trial = "warning", &t.ID
		records = append(records, warning)
	}
	if o.Failure != nil {
		f := *o.Failure
		f.Kind, f.Key, f.Trial = "failure", t.Key, t.ID
		records = append(records, f)
		end.Outcome = "failed"
	}
	if err := w.write(append(records, end)...); err != nil {
		return err
	}
	w.result.Trials++
	w.result.Samples += end.Samples
	if o.Failure != nil {
		w.result.Failures++
	}
	return nil
}

// Warn appends a warning about the whole run.
func (w *Writer) Warn(code, text string) error {
	return w.write(Warning{Kind: "warning", Code: code, Text: text})
}

// Calibrate appends what the harness itself costs.
func (w *Writer) Calibrate(costs ...Calibration) error {
	var records []any
	for _, c := range costs {
		c.Kind = "calibration"
		records = append(records, c)
	}
	return w.write(records...)
}

// Result sums up what the journal holds so far.
func (w *Writer) Result() Result { return w.result }

// Close writes the footer with that status, "complete" or "interrupted", and
// closes the file.
func (w *Writer) Close(status string) error {
	r := w.result
	err := w.write(Footer{
		Kind: "footer", Ended: time.Now().UTC(), Status: status,
		Samples: r.Samples, Failures: r.Failures, Skips: r.Skips,
	})
	if err == nil {
		err = w.sync()
	}
	if closing := w.file.Close(); err == nil && closing != nil {
		err = fmt.Errorf("close journal: %w", closing)
	}
	return err
}

// write appends records in one write. What went out in part is taken back, so
// that a disk that was full for a while leaves no torn line in the middle.
func (w *Writer) write(records ...any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // error texts are read by people
	for _, r := range records {
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("write journal %s: %w", w.file.Name(), err)
		}
	}
	if _, err := w.file.Write(b.Bytes()); err != nil {
		w.file.Truncate(w.size) // the write's error is the one to report
		return fmt.Errorf("write journal: %w (what was written before is kept)", err)
	}
	w.size += int64(b.Len())
	return nil
}

func (w *Writer) sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}
