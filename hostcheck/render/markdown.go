package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"plimsoll/hostcheck"
)

// Markdown writes the report for a page or a comment in a code review.
func Markdown(out io.Writer, r *hostcheck.Report, s Style) error {
	w := bufio.NewWriter(out)
	r = clean(r)
	fmt.Fprintf(w, "# %s\n\n%s\n\n", headline(r), cell(host(r)))
	if line := surroundings(r); line != "" {
		fmt.Fprintf(w, "%s\n\n", cell(line))
	}
	failures, warnings, unknown := pressing(r)
	for _, section := range []struct {
		title   string
		results []hostcheck.Result
	}{{"Missing, and required", failures}, {"Cannot be known from here", unknown}, {"Recommended", warnings}} {
		if len(section.results) > 0 {
			fmt.Fprintf(w, "## %s\n\n", section.title)
			resultTable(w, section.results)
		}
	}
	if r.Density != nil {
		fmt.Fprintf(w, "## Density\n\nThis host %s. Raise it: `%s`\n\n", cell(r.Density.String()), r.Density.Raise)
	}
	if r.Fragment != "" {
		fmt.Fprintf(w, "## Configuration that would mend it\n\n```\n%s```\n\n", r.Fragment)
	}
	markdownMatrix(w, r)
	if len(r.Capabilities) > 0 {
		fmt.Fprint(w, "## Can this host\n\n| | | by |\n|---|---|---|\n")
		for _, c := range r.Capabilities {
			fmt.Fprintf(w, "| %s | %s | %s |\n", c.Name, c.Answer, cell(c.By))
		}
		fmt.Fprintln(w)
	}
	if s.All {
		fmt.Fprint(w, "## Everything\n\n")
		resultTable(w, r.Results)
	}
	fmt.Fprintf(w, "%s\n", tally(r))
	return w.Flush()
}

func resultTable(w io.Writer, results []hostcheck.Result) {
	fmt.Fprint(w, "| | check | found | fix |\n|---|---|---|---|\n")
	for _, x := range results {
		fix := ""
		if x.Fix != "" {
			fix = "`" + cell(x.Fix) + "`"
		}
		fmt.Fprintf(w, "| %s | `%s` %s | %s | %s |\n", x.Verdict, x.ID, cell(x.Title), cell(x.Detail), fix)
	}
	fmt.Fprintln(w)
}

func markdownMatrix(w io.Writer, r *hostcheck.Report) {
	groups := r.Groups()
	fmt.Fprintf(w, "## Readiness\n\n| use | | %s |\n|---|---|%s\n", strings.Join(groups, " | "), strings.Repeat("---|", len(groups)))
	for _, row := range r.Matrix {
		fmt.Fprintf(w, "| %s | %s |", row.Use, row.Ready)
		for _, g := range groups {
			fmt.Fprintf(w, " %s |", or(string(row.Groups[g]), "-"))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// cell keeps text from breaking out of a table's cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}
