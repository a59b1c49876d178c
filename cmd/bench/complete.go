package main

import (
	"github.com/spf13/cobra"

	"plimsoll/profiles"
	"plimsoll/runner"
)

func completeRuntime(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return profiles.Runtimes, cobra.ShellCompDirectiveNoFileComp
}

// completeCell lists the cells of the profile on the command line, as a host
// that lacks nothing would run them: looking at this one would take too long.
func completeCell(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	p, err := profiles.Load(name, profiles.Overrides{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	plan, _ := runner.NewPlan(p, []runner.Host{{}}, 1, nil) // one over budget has its cells too
	var cells []string
	for _, c := range plan.Cells {
		if c.Role != runner.Control {
			cells = append(cells, c.Key.String())
		}
	}
	return cells, cobra.ShellCompDirectiveNoFileComp
}
