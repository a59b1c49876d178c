package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"plimsoll/profiles"
)

func newProfiles(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "List the profiles: what bench run can measure",
		Long: `A profile says what to measure: which workloads, in which runtimes, with which
limits, how often. These are built in; a profile of your own is a YAML file, and
"bench profiles show quick" is one to begin with. What a profile leaves out is
a default.

A profile's values are changed, without a file, by PLIMSOLL_* variables
(PLIMSOLL_ROUNDS=20, PLIMSOLL_FACTORS_FLEET=1,8) and by --set of bench run.`,
		Example: `  bench profiles
  bench profiles show quick > mine.yaml`,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
			for _, name := range profiles.Builtin {
				p, err := profiles.Load(name, profiles.Overrides{})
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%s\t%s\n", name, p.Description)
			}
			return w.Flush()
		},
	}
	cmd.AddCommand(newProfilesShow(s))
	return cmd
}

func newProfilesShow(s streams) *cobra.Command {
	var resolved bool
	cmd := &cobra.Command{
		Use:   "show PROFILE",
		Short: "Print a profile, once it is found to be valid",
		Long: `Show prints a built-in profile as it was written, comments and all; and a
profile of your own as it is understood: every default filled in, every value in
its canonical form. --resolved does the latter for both, with what PLIMSOLL_*
variables change.`,
		Example: `  bench profiles show startup
  bench profiles show quick --resolved`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeProfile,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := profiles.Load(args[0], profiles.Overrides{Environ: os.Environ()})
			if err != nil {
				return withStatus(statusUsage, err)
			}
			text, builtin := profiles.Source(args[0])
			if !builtin || resolved {
				if text, err = p.YAML(); err != nil {
					return err
				}
			}
			_, err = s.out.Write(text)
			return err
		},
	}
	cmd.Flags().BoolVar(&resolved, "resolved", false, "print what a built-in profile comes to, not its source")
	return cmd
}

func completeProfile(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return profiles.Builtin, cobra.ShellCompDirectiveDefault // a file is a profile too
}
