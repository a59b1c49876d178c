package main

import "github.com/spf13/cobra"

func newClean(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Undo what killed runs left on this host",
		Long: `Clean removes what runs that were killed left behind: processes, mounts, cgroups
and work directories. It touches only what a run wrote into its ledger before it
made it, and never a run that is under way. Every bench run begins with this.
Journals and reports stay.`,
		Example: `  sudo bench clean`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return clean(cmd.Context(), s)
		},
	}
}
