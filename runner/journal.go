package runner

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// JournalName is the journal's file name in a run's directory.
const JournalName = "samples.jsonl"

// Journal is what a journal file holds. Keys have their defaults filled in.
type Journal struct {
	Header       Header
	Skips        []Skip
	Trials       []TrialRecord
	Samples      []Sample  // of the trials in Trials only
	Failures     []Failure // likewise
	Warnings     []Warning // likewise, and those of the whole run
	Calibrations []Calibration
	Resumes      []Resume
	Footer       *Footer // nil while the run goes on, or when it was killed

	// Notes say what was passed over in reading: a torn last line, samples of
	// trials that never ended, kinds of record that are not known here.
	Notes []string
}

// ReadJournal reads a journal: a file, or DIR/samples.jsonl of a run's
// directory.
func ReadJournal(path string) (*Journal, error) {
	f, err := openJournal(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return DecodeJournal(f, f.Name())
}

// ReadHeader reads the header of a journal alone; path is as for
// [ReadJournal].
func ReadHeader(path string) (Header, error) {
	f, err := openJournal(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	d := newDecoder(f, f.Name())
	for len(d.journal.Header.Kind) == 0 && d.err == nil {
		d.next()
	}
	if d.err != nil && d.err != io.EOF {
		return Header{}, d.err
	}
	return d.journal.Header, d.complete()
}

// DecodeJournal reads a journal from r; errors call it name. A last line that
// is torn is dropped with a note, a kind that is not known is passed over
// with a note; any other line that is not as it should be is an error with
// its line number.
func DecodeJournal(r io.Reader, name string) (*Journal, error) {
	j, _, err := decodeJournal(r, name)
	return j, err
}

// decodeJournal also gives the offset at which a resumed run goes on: behind
// the last line that is part of no unfinished trial and no footer.
func decodeJournal(r io.Reader, name string) (*Journal, int64, error) {
	d := newDecoder(r, name)
	for d.err == nil {
		d.next()
	}
	if d.err != io.EOF {
		return nil, 0, d.err
	}
	if err := d.complete(); err != nil {
		return nil, 0, err
	}
	d.note()
	return d.journal, d.end, nil
}

func openJournal(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, JournalName)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return f, nil
}

// Result sums up the journal.
func (j *Journal) Result() Result {
	r := Result{Planned: j.Header.Trials, Trials: len(j.Trials), Samples: len(j.Samples)}
	for _, t := range j.Trials {
		if t.Outcome != "ok" {
			r.Failures++
		}
	}
	r.skips(j.Skips)
	return r
}
