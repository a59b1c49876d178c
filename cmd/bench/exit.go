package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit statuses, which scripts rely on.
const (
	statusNo        = 1 // the answer is no: a trial failed
	statusUsage     = 2 // usage, or bad input
	statusUnable    = 3 // could not measure
	statusUntrusted = 4 // measured, on a host too noisy to trust it
)

const statusHelp = `Exit status:
  0  done
  1  a trial or a workload failed, or a killed run could not be cleaned up
  2  usage, or bad input
  3  could not measure, or not all: the run was cut short, or a cell that you
     named (--runtime, --require, a level in your own profile) cannot run here
  4  measured, but the host was so noisy that the figures are untrusted`

// exitError is an error that says with which status the program ends.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{status, err}
}

func usageError(format string, args ...any) error {
	return &exitError{statusUsage, fmt.Errorf(format, args...)}
}

// finish reports err and gives the exit status. What says nothing of its
// status could not be done.
func finish(err error, to io.Writer) int {
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(to, "bench: %s\n", strings.TrimRight(line, "\n"))
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.status
	}
	return statusUnable
}
