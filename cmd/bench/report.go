package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"plimsoll/reports"
	"plimsoll/runner"
)

// renderers write a report in the formats there are.
var renderers = map[string]func(io.Writer, reports.Report) error{
	"text": func(w io.Writer, r reports.Report) error { return reports.Text(w, r, inColour(w)) },
	"html": reports.HTML,
	"json": reports.JSON,
}

func newReport(s streams) *cobra.Command {
	var format, out string
	cmd := &cobra.Command{
		Use:   "report DIR|FILE...",
		Short: "Make the report again, from journals alone",
		Long: `Report computes a run's report from its journal and prints the summary, on any
machine. For one DIR, it also writes DIR/summary.txt and DIR/report.html anew,
unless --format or --out say what is wanted. Several runs are put side by side.`,
		Example: `  bench report results/monday
  bench report results/monday results/tuesday --out both.html
  bench report results/monday/samples.jsonl --format json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format == "" && out != "" {
				format = extensions[strings.ToLower(filepath.Ext(out))]
			}
			again := len(args) == 1 && format == "" && out == "" && isDir(args[0])
			format = cmp.Or(format, "text")
			if err := formatOf(format, "text", "html", "json"); err != nil {
				return err
			}
			report, err := reportOf(args)
			if err != nil {
				return withStatus(statusUsage, err)
			}
			if out != "" {
				to := results{dir: filepath.Dir(out)}
				return to.write(filepath.Base(out), func(w io.Writer) error { return renderers[format](w, report) })
			}
			if again {
				if err := (results{dir: args[0]}).writeReports(report); err != nil {
					fmt.Fprintf(s.err, "bench: %s; the summary is below\n", err)
				}
			}
			return renderers[format](s.out, report)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "`FORMAT`: text, html or json (default: by the name of --out, or text)")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to write to, in place of the standard output")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "html", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var extensions = map[string]string{".html": "html", ".htm": "html", ".json": "json"}

// reportOf reads journals and makes their report.
func reportOf(paths []string) (reports.Report, error) {
	var journals []*runner.Journal
	for _, path := range paths {
		j, err := runner.ReadJournal(path)
		if err != nil {
			return reports.Report{}, err
		}
		journals = append(journals, j)
	}
	return reports.New(journals...)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
