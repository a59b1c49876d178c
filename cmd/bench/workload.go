package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"plimsoll/profiles"
	"plimsoll/runner/workloads"
)

func newWorkload(s streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "workload NAME [PARAM=VALUE]...",
		Short: "Run one workload here, without a container",
		Long: `Workload runs the program that bench run starts inside containers and as bare
processes, and prints what it measures as JSON lines, in SI base units. A last
line says that it was carried out in full.

` + workloadHelp(),
		Example: `  bench workload cpu part=integer duration=10ms
  bench workload io part=fsync size=1MiB duration=10ms --dir /var/tmp`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeWorkload(args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			params := map[string]string{}
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if _, twice := params[name]; !ok || twice {
					return usageError("workload %s: %q must be PARAM=VALUE, each once", args[0], arg)
				}
				params[name] = value
			}
			return withStatus(statusNo, workloads.Run(cmd.Context(), args[0], params, dir, s.out))
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` in which io makes its files, and leaves none (default: here)")
	return cmd
}

// runnable lists the workloads that are this program.
func runnable() []profiles.WorkloadType {
	var out []profiles.WorkloadType
	for _, w := range profiles.Catalogue {
		if workloads.Has(w) {
			out = append(out, w)
		}
	}
	return out
}

func workloadHelp() string {
	var b strings.Builder
	for _, w := range runnable() {
		fmt.Fprintf(&b, "%s: %s\n", w.Name, w.Help)
		for _, p := range w.Params {
			fmt.Fprintf(&b, "  %s=%s  %s", p.Name, p.Default, p.Help)
			if len(p.Choices) > 0 {
				fmt.Fprintf(&b, " (%s)", strings.Join(p.Choices, ", "))
			}
			b.WriteString("\n")
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

func completeWorkload(args []string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, w := range runnable() {
		if len(args) == 0 {
			out = append(out, cobra.CompletionWithDesc(w.Name, w.Help))
			continue
		}
		for _, p := range w.Params {
			if w.Name == args[0] {
				out = append(out, cobra.CompletionWithDesc(p.Name+"=", p.Help))
			}
		}
	}
	if len(args) == 0 {
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
