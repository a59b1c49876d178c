package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"plimsoll/internal/vmtest/guest"
)

// reporter turns the guest's events into files and lines for a person.
type reporter struct {
	ctx    context.Context
	config Config
	user   string
	tests  []testPackage // by guest.Event.Run
	stdout io.Writer

	current          *converter // of the run in progress
	run              int        // its index
	pass, fail, skip int
	failed           bool
}

func (r *reporter) handle(e guest.Event) (err error) {
	switch e.Kind {
	case guest.Boot:
		fmt.Fprintf(r.stdout, "vm: Linux %s, cgroup %s, as %s, init after %.1fs\n", e.Name, r.config.Cgroup, r.user, e.Took)
	case guest.Start:
		r.run = e.Run
		r.current, err = newConverter(r.ctx, r.pkg(e.Run))
	case guest.Output:
		if r.config.Verbose {
			io.WriteString(r.stdout, strings.ReplaceAll(string(e.Data), marker, ""))
		}
		_, err = r.current.in.Write(e.Data)
	case guest.Exit:
		err = r.exit(e)
	case guest.File:
		err = os.WriteFile(filepath.Join(r.config.coverDir(), filepath.Base(e.Name)), e.Data, 0o644)
	}
	return err
}

// cutShort says which test the machine died in, and what that had printed.
func (r *reporter) cutShort() {
	if r.current != nil {
		r.exit(guest.Event{Run: r.run, Status: "the virtual machine ended"})
	}
}

func (r *reporter) pkg(run int) string { return r.tests[run].Path }

func (r *reporter) exit(e guest.Event) error {
	pkg := r.pkg(e.Run)
	// These lines of go test are the go command's, not the binary's.
	line := fmt.Sprintf("ok  \t%s\t%.3fs", pkg, e.Took)
	if e.Status != "" {
		line = fmt.Sprintf("FAIL\t%s\t%.3fs", pkg, e.Took)
		if _, err := fmt.Fprintln(r.current.in, e.Status); err != nil {
			return err
		}
	}
	out, err := r.current.finish(marker + line + "\n")
	r.current = nil
	if err != nil {
		return err
	}
	if err := appendFile(r.config.results(r.user), out); err != nil {
		return err
	}
	events, err := readEvents(strings.NewReader(out))
	if err != nil {
		return err
	}
	v := judge(events)
	r.pass, r.fail, r.skip = r.pass+v.pass, r.fail+v.fail, r.skip+v.skip
	if e.Status != "" {
		r.failed = true
		if !r.config.Verbose {
			line = strings.TrimSuffix(v.log, line+"\n") + line
		}
	}
	// In one piece: another machine writes too.
	_, err = fmt.Fprintf(r.stdout, "%s\tas %s: %d passed, %d failed, %d skipped\n",
		line, r.user, v.pass, v.fail, v.skip)
	return err
}

func appendFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// lockedWriter serialises the writes of several machines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
