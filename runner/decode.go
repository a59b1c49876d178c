package runner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// longestLine bounds what one record may take; the longest real one is the
// header, a few kilobytes.
const longestLine = 16 << 20

// decoder reads a journal line by line. Samples, failures and warnings of a
// trial wait in pending until the trial's record shows that it ended.
type decoder struct {
	in      *bufio.Reader
	name    string
	journal *Journal
	err     error
	line    int   // number of the line in hand, from 1
	offset  int64 // behind the line in hand
	end     int64 // see decodeJournal
	torn    int   // bytes in a last line without its newline
	pending map[int]*unfinished
	ended   map[int]int    // line of each trial's record
	unknown map[string]int // records of each unknown kind

	// Each key is parsed, and each metric's name kept, once.
	keys  map[string]Key
	names map[string]string
}

type unfinished struct {
	samples  []Sample
	failures []Failure
	warnings []Warning
}

func newDecoder(r io.Reader, name string) *decoder {
	return &decoder{
		in: bufio.NewReaderSize(r, 64<<10), name: name, journal: &Journal{},
		pending: map[int]*unfinished{}, ended: map[int]int{}, unknown: map[string]int{},
		keys: map[string]Key{}, names: map[string]string{},
	}
}

func (d *decoder) fail(err error) { d.err = fmt.Errorf("%s:%d: %w", d.name, d.line, err) }

// next reads one line into the journal. At the end err is io.EOF.
func (d *decoder) next() {
	line, err := d.readLine()
	if err != nil {
		d.torn = len(line)
		d.err = err
		return
	}
	d.line++
	d.offset += int64(len(line))
	kind, err := kindOf(line)
	if err == nil {
		err = d.record(kind, line)
	}
	if err != nil {
		d.fail(err)
		return
	}
	if len(d.pending) == 0 && kind != "footer" {
		d.end = d.offset
	}
}

// readLine gives the next line with its newline, in memory that the next call
// uses again.
func (d *decoder) readLine() ([]byte, error) {
	line, err := d.in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return line, d.readError(err)
	}
	long := slices.Clone(line)
	for err == bufio.ErrBufferFull && len(long) < longestLine {
		line, err = d.in.ReadSlice('\n')
		long = append(long, line...)
	}
	if err == bufio.ErrBufferFull {
		return nil, fmt.Errorf("%s:%d: line is longer than %d MiB: not a journal", d.name, d.line+1, longestLine>>20)
	}
	return long, d.readError(err)
}

func (d *decoder) readError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return fmt.Errorf("read journal %s: %w", d.name, err)
}

// kindOf finds a line's kind, which is the first of its fields.
func kindOf(line []byte) (string, error) {
	if rest, ok := bytes.CutPrefix(line, []byte(`{"kind":"`)); ok {
		if i := bytes.IndexByte(rest, '"'); i > 0 && bytes.IndexByte(rest[:i], '\\') < 0 {
			return string(rest[:i]), nil
		}
	}
	var r struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return "", notJSON(err)
	}
	if r.Kind == "" {
		return "", errors.New("record has no kind")
	}
	return r.Kind, nil
}

func notJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	return err
}

// record takes one line into the journal.
func (d *decoder) record(kind string, line []byte) error {
	j := d.journal
	if (j.Header.Kind == "") != (kind == "header") {
		if kind == "header" {
			return errors.New("a second header: journals are read one by one, not joined")
		}
		return fmt.Errorf("not a journal: the first line is %q and not the header", kind)
	}
	switch kind {
	case "header":
		return d.header(line)
	case "sample":
		return d.sample(line)
	case "trial":
		return d.trial(line)
	case "failure":
		f, err := parse[Failure](line)
		if err != nil {
			return err
		}
		f.Key = f.Key.WithDefaults()
		p, err := d.waiting(f.Trial)
		if err == nil {
			p.failures = append(p.failures, f)
		}
		return err
	case "warning":
		w, err := parse[Warning](line)
		if err != nil || w.Trial == nil {
			j.Warnings = append(j.Warnings, w)
			return err
		}
		p, err := d.waiting(*w.Trial)
		if err == nil {
			p.warnings = append(p.warnings, w)
		}
		return err
	case "skip":
		s, err := parse[Skip](line)
		s.Key = s.Key.WithDefaults()
		j.Skips = append(j.Skips, s)
		return err
	case "calibration":
		return take(&j.Calibrations, line)
	case "resume":
		j.Footer = nil
		return take(&j.Resumes, line)
	case "footer":
		f, err := parse[Footer](line)
		j.Footer = &f
		return err
	}
	if !json.Valid(line) {
		return errors.New("not a JSON object")
	}
	d.unknown[kind]++
	return nil
}

func parse[T any](line []byte) (T, error) {
	var r T
	if err := json.Unmarshal(line, &r); err != nil {
		return r, notJSON(err)
	}
	return r, nil
}

func take[T any](to *[]T, line []byte) error {
	r, err := parse[T](line)
	*to = append(*to, r)
	return err
}

func (d *decoder) header(line []byte) error {
	// The schema first: nothing else of another one can be relied on.
	v, err := parse[struct{ Schema int }](line)
	if err != nil {
		return err
	}
	if v.Schema != Schema {
		return fmt.Errorf("schema %d: this program reads schema %d; use the program that wrote it, or a newer one", v.Schema, Schema)
	}
	d.journal.Header, err = parse[Header](line)
	return err
}

// waiting gives what is known of a trial that has not ended.
func (d *decoder) waiting(trial int) (*unfinished, error) {
	if line, ok := d.ended[trial]; ok {
		return nil, fmt.Errorf("trial %d ended on line %d already", trial, line)
	}
	p := d.pending[trial]
	if p == nil {
		p = new(unfinished)
		d.pending[trial] = p
	}
	return p, nil
}

func (d *decoder) trial(line []byte) error {
	t, err := parse[TrialRecord](line)
	if err != nil {
		return err
	}
	p, err := d.waiting(t.Trial)
	if err != nil {
		return err
	}
	if t.Samples != len(p.samples) {
		return fmt.Errorf("trial %d has %d samples by its record, and %d before it", t.Trial, t.Samples, len(p.samples))
	}
	t.Key = t.Key.WithDefaults()
	j := d.journal
	j.Trials = append(j.Trials, t)
	j.Samples = append(j.Samples, p.samples...)
	j.Failures = append(j.Failures, p.failures...)
	j.Warnings = append(j.Warnings, p.warnings...)
	delete(d.pending, t.Trial)
	d.ended[t.Trial] = d.line
	return nil
}

// complete refuses what is too short to be a journal.
func (d *decoder) complete() error {
	if d.journal.Header.Kind != "" {
		return nil
	}
	if d.torn > 0 {
		return fmt.Errorf("%s:1: not a journal: the header is torn", d.name)
	}
	return fmt.Errorf("%s: not a journal: it is empty", d.name)
}

// note says what was passed over.
func (d *decoder) note() {
	add := func(format string, args ...any) {
		d.journal.Notes = append(d.journal.Notes, fmt.Sprintf(format, args...))
	}
	if d.torn > 0 {
		add("%s:%d: the last line is torn and was dropped", d.name, d.line+1)
	}
	samples := 0
	for _, p := range d.pending {
		samples += len(p.samples)
	}
	if len(d.pending) > 0 {
		add("%s: %d samples of %d trials that did not end were left out", d.name, samples, len(d.pending))
	}
	for _, kind := range slices.Sorted(maps.Keys(d.unknown)) {
		add("%s: %d records of kind %q, which this version does not know, were passed over", d.name, d.unknown[kind], kind)
	}
}
