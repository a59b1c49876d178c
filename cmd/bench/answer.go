package main

import (
	"errors"
	"fmt"
	"io"

	"plimsoll/reports"
	"plimsoll/runner"
)

// cutShort says what a run that ended early leaves, and how to go on with it.
func (r results) cutShort(err error) error {
	journal, readErr := runner.ReadJournal(r.dir)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	done := journal.Result()
	return errors.Join(err, fmt.Errorf("%d of %d trials are kept; to go on: bench run --resume %s", done.Trials, done.Planned, r.dir))
}

// conclude prints the summary, makes the files, and gives the answer.
func (r results) conclude(out, notes io.Writer, format string) error {
	journal, err := runner.ReadJournal(r.dir)
	if err != nil {
		return err
	}
	report, err := reports.New(journal)
	if err != nil {
		return err
	}
	if err := errors.Join(renderers[format](out, report), r.writeReports(report)); err != nil {
		return err
	}
	fmt.Fprintf(notes, "bench: %s, %s and %s are in %s\n", reportName, summaryName, runner.JournalName, r.dir)
	return answer(journal, report)
}

// answer is nil when every trial was carried out and the host was quiet.
func answer(journal *runner.Journal, report reports.Report) error {
	r := journal.Result()
	switch status := r.ExitStatus(); {
	case status == statusNo:
		return withStatus(status, fmt.Errorf("%d of %d trials failed: the summary says how", r.Failures, r.Trials))
	case status != 0:
		err := namedSkips(journal.Skips)
		if err == nil {
			err = errors.New("nothing was measured: every cell is skipped")
		}
		return withStatus(status, err)
	case report.Untrusted():
		return withStatus(statusUntrusted, errors.New("the host was too noisy: the figures are untrusted (the summary says why)"))
	}
	return nil
}

// namedSkips is an error for each lack that skips cells that the user named.
func namedSkips(skips []runner.Skip) error {
	var errs []error
	for _, g := range groupSkips(skips) {
		if g.named {
			errs = append(errs, withStatus(statusUnable, fmt.Errorf("you named %s, which cannot run here: %s", g.cells[0], g.why())))
		}
	}
	return errors.Join(errs...)
}
