package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"plimsoll/profiles"
)

// runtimeStatus is what can be said of a runtime on this host: a line of
// `bench runtimes`, and with --format json one of its array.
type runtimeStatus struct {
	Name    string `json:"name"`
	Usable  bool   `json:"usable"`
	Path    string `json:"path,omitempty"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"` // why it is not usable
	Fix     string `json:"fix,omitempty"`
}

func newRuntimes(s streams) *cobra.Command {
	var own []string
	var format string
	cmd := &cobra.Command{
		Use:   "runtimes",
		Short: "List what can start a container here",
		Long: `Runtimes tries each runtime that bench can measure, by starting a container
with it, and lists which work here; of the others why not, and how to get them.`,
		Example: `  sudo bench runtimes
  sudo bench runtimes --runtime pr=oci:/usr/local/bin/my-runc
  sudo bench runtimes --format json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := formatOf(format, "text", "json"); err != nil {
				return err
			}
			levels, err := runtimeLevels(own)
			if err != nil {
				return err
			}
			list, err := tryRuntimes(cmd.Context(), append(append([]string{}, profiles.Runtimes...), levels...))
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(s.out, struct {
					Schema   int             `json:"schema"`
					Runtimes []runtimeStatus `json:"runtimes"`
				}{schema, list})
			}
			return writeRuntimes(s.out, list)
		},
	}
	cmd.Flags().StringArrayVar(&own, "runtime", nil, "also try `NAME=oci:PATH`, an OCI runtime of your own")
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT` of the output: text or json")
	return cmd
}

func writeRuntimes(to io.Writer, list []runtimeStatus) error {
	out := bufio.NewWriter(to)
	for _, r := range list {
		if r.Usable {
			fmt.Fprintf(out, "%-9s yes  %s\n", r.Name, strings.TrimSpace(cmp.Or(r.Version, "built in")+"  "+r.Path))
			continue
		}
		fmt.Fprintf(out, "%-9s no   %s\n", r.Name, r.Reason)
		if r.Fix != "" {
			fmt.Fprintf(out, "%-9s      to get it: %s\n", "", r.Fix)
		}
	}
	return out.Flush()
}
