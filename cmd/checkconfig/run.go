package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// streams are those of the process, or a test's.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exit codes, the same as those of bench.
const (
	exitYes       = 0
	exitNo        = 1
	exitUsage     = 2
	exitUndecided = 3
)

// answer is an error that carries an exit code and, if it says anything, a
// message for the error stream.
type answer struct {
	code int
	err  error
}

func (a answer) Error() string {
	if a.err == nil {
		return ""
	}
	return a.err.Error()
}

func (a answer) Unwrap() error { return a.err }

// run carries out one command line and gives the exit code.
func run(ctx context.Context, args []string, io streams) int {
	root := rootCommand(io)
	root.SetArgs(args)
	root.SetIn(io.In)
	root.SetOut(io.Out)
	root.SetErr(io.Err)
	err := root.ExecuteContext(ctx)
	var a answer
	switch {
	case err == nil:
		return exitYes
	case errors.As(err, &a):
		if a.err != nil {
			fmt.Fprintln(io.Err, "checkconfig:", a.err)
		}
		return a.code
	}
	fmt.Fprintln(io.Err, "checkconfig:", err)
	return exitUsage
}

// coloured reports whether w is a terminal whose user wants colour
// (https://no-color.org).
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

func rootCommand(io streams) *cobra.Command {
	root := checkCommand(io)
	root.AddCommand(explainCommand(io), mergeCommand(io), versionCommand(io))
	root.SilenceErrors, root.SilenceUsage = true, true
	return root
}
