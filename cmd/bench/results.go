package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"plimsoll/reports"
	"plimsoll/runner"
)

// results is the directory of a run: the journal, and what is made from it.
type results struct {
	dir   string
	made  []string // directories that we made, the outermost first
	owner owner
}

// The files beside the journal.
const (
	reportName  = "report.html"
	summaryName = "summary.txt"
)

// newResults makes the directory of a new run, and makes sure that it can be
// written to, before anything is measured.
func newResults(dir string) (r results, err error) {
	r = results{dir: dir, owner: ownerBehindSudo(os.Geteuid(), os.Getenv)}
	entries, err := os.ReadDir(dir)
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), ".") // of a run that was killed before it had a journal
	})
	switch {
	case err == nil && len(entries) > 0:
		if _, err := os.Stat(filepath.Join(dir, runner.JournalName)); err == nil {
			return r, usageError("--out %s: it holds a run already: go on with it by --resume %s, or choose another directory", dir, dir)
		}
		return r, usageError("--out %s: it is not empty: choose another directory, or a new one", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return r, usageError("--out: %w (choose a directory that you may write to)", err)
	}
	if err := r.make(dir); err != nil {
		r.discard()
		return r, usageError("--out: %w (choose a directory that you may write to)", err)
	}
	trial, err := os.CreateTemp(dir, ".try-")
	if err != nil {
		r.discard()
		return r, usageError("--out: %w (choose a directory that you may write to)", err)
	}
	return r, errors.Join(trial.Close(), os.Remove(trial.Name()))
}

// make makes the directory and those above it.
func (r *results) make(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := r.make(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	r.made = append(r.made, dir)
	return r.owner.own(dir)
}

// discard takes the directories away again, as long as nothing is in them.
func (r results) discard() {
	for i := len(r.made) - 1; i >= 0; i-- {
		if os.Remove(r.made[i]) != nil {
			return
		}
	}
}

// write makes a file whole or not at all: a full disk leaves no half of a
// report, and a link that stands under its name is replaced, not followed.
func (r results) write(name string, render func(io.Writer) error) error {
	path := filepath.Join(r.dir, name)
	f, err := os.CreateTemp(r.dir, "."+name+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = errors.Join(f.Chmod(0o644), r.owner.own(f.Name()), render(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeReports makes the report and the summary.
func (r results) writeReports(report reports.Report) error {
	return errors.Join(
		r.write(reportName, func(w io.Writer) error { return reports.HTML(w, report) }),
		r.write(summaryName, func(w io.Writer) error { return reports.Text(w, report, false) }),
	)
}

// owner is who results belong to: the user behind sudo, who is to be able to
// read and remove them.
type owner struct{ uid, gid int }

// ownerBehindSudo reads what sudo says of its user (sudo(8), SUDO_UID). The
// zero owner changes nothing.
func ownerBehindSudo(euid int, getenv func(string) string) owner {
	uid, err1 := strconv.Atoi(getenv("SUDO_UID"))
	gid, err2 := strconv.Atoi(getenv("SUDO_GID"))
	if euid != 0 || err1 != nil || err2 != nil || uid <= 0 || gid < 0 {
		return owner{}
	}
	return owner{uid, gid}
}

func (o owner) own(path string) error {
	if o == (owner{}) {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}
