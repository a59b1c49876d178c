package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"plimsoll/profiles"
)

// streams are where the program writes: results to out, all else to err.
type streams struct {
	out, err io.Writer
}

// run is the program: it carries out args and gives the exit status.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	return finish(root.ExecuteContext(ctx), s.err)
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "bench COMMAND",
		Short: "Measure what a container costs on this host",
		Long: `Bench measures what a container costs on this host, against a bare process:
to start, to compute, to use memory and files. It keeps every raw sample in a
journal, and computes its reports from journals alone.`,
		Example: `  sudo bench run                  # measure, in about a minute
  bench report results/monday     # look at it again, on any machine
  bench runtimes                  # what can be measured here`,
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
	}
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(root.HelpTemplate() + "\n" + statusHelp + "\n")
	root.AddCommand(
		newRun(s), newReport(s), newProfiles(s), newRuntimes(s), newClean(s),
		newWorkload(s), newSchema(s), newVersion(s),
	)
	root.InitDefaultCompletionCmd("completion") // now, so that strict covers it too
	strict(root)
	return root
}

// strict makes every argument that a command does not take a usage error, and
// a word where a subcommand belongs the wrong name of one.
func strict(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
	if cmd.HasSubCommands() {
		cmd.Args = noSuchCommand
		if cmd.Runnable() {
			return
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error {
			fmt.Fprint(cmd.ErrOrStderr(), cmd.UsageString())
			return usageError("which command of %s?", cmd.CommandPath())
		}
		return
	}
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError("%w (see %s --help)", err, cmd.CommandPath())
		}
		return nil
	}
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usageError("unknown command %q of %s%s", args[0], cmd.CommandPath(), suggest(args[0], names))
}

// flagError names the flag that was most likely meant.
func flagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf(" (see %s --help)", cmd.CommandPath())
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		if near := profiles.Nearest("--"+unknown.GetSpecifiedName(), names); near != "" {
			hint = fmt.Sprintf(" (did you mean %s?)", near)
		}
	}
	return usageError("%w%s", err, hint)
}

// suggest words what was most likely meant by name, or else what there is.
func suggest(name string, names []string) string {
	if near := profiles.Nearest(name, names); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return fmt.Sprintf(" (there are: %s)", strings.Join(names, ", "))
}

// formatOf checks the value of --format.
func formatOf(format string, formats ...string) error {
	for _, f := range formats {
		if f == format {
			return nil
		}
	}
	return usageError("--format %s: there is no such format%s", format, suggest(format, formats))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// inColour reports whether w is a terminal whose user wants colours
// (https://no-color.org).
func inColour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
