package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"plimsoll/hostcheck"
)

// Merge writes several hosts side by side: whether each is ready, how many
// containers it holds, and the checks in which they differ or fail; all
// checks with Style.All. The format is "text" or "markdown".
func Merge(out io.Writer, format string, reports []*hostcheck.Report, s Style) error {
	if format != "text" && format != "markdown" {
		return fmt.Errorf("--format %s: several hosts are written as text or markdown", format)
	}
	w := bufio.NewWriter(out)
	var cleaned []*hostcheck.Report
	for _, r := range reports {
		cleaned = append(cleaned, clean(r))
	}
	rows := mergeRows(cleaned, s.All)
	if format == "markdown" {
		for i, row := range rows {
			for j := range row {
				row[j] = cell(row[j])
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
			if i == 0 {
				fmt.Fprintln(w, "|"+strings.Repeat("---|", len(row)))
			}
		}
		return w.Flush()
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for j, c := range row {
			widths[j] = max(widths[j], utf8.RuneCountInString(c))
		}
	}
	for _, row := range rows {
		line := ""
		for j, c := range row {
			line += c + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(c)+2)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	return w.Flush()
}

// mergeRows is the table: a heading, one row for each thing, one column for
// each host.
func mergeRows(reports []*hostcheck.Report, all bool) [][]string {
	head := []string{""}
	kernel, use, ready, most := []string{"kernel"}, []string{"use"}, []string{"ready"}, []string{"containers"}
	for i, r := range reports {
		name := or(r.Host["host.name"], fmt.Sprintf("host %d", i+1))
		if r.Offline {
			name = r.Config.Source
		}
		head = append(head, name)
		kernel = append(kernel, r.Host["kernel.release"])
		use = append(use, string(r.Use))
		ready = append(ready, string(r.Ready))
		holds := "-"
		if r.Density != nil {
			holds = fmt.Sprintf("%d (%s)", r.Density.Most, r.Density.Wall)
		}
		most = append(most, holds)
	}
	rows := [][]string{head, kernel, use, ready, most}
	for _, u := range hostcheck.Uses {
		row := []string{"ready for " + string(u)}
		for _, r := range reports {
			i := slices.IndexFunc(r.Matrix, func(m hostcheck.UseReadiness) bool { return m.Use == u })
			if i < 0 {
				row = append(row, "-")
				continue
			}
			row = append(row, string(r.Matrix[i].Ready))
		}
		rows = append(rows, row)
	}
	for _, id := range ids(reports) {
		row := []string{id}
		bad := false
		for _, r := range reports {
			v := "-"
			if i := slices.IndexFunc(r.Results, func(x hostcheck.Result) bool { return x.ID == id }); i >= 0 {
				v = string(r.Results[i].Verdict)
				bad = bad || r.Results[i].Verdict == hostcheck.Fail
			}
			row = append(row, v)
		}
		same := len(slices.Compact(slices.Clone(row[1:]))) == 1
		if all || bad || !same {
			rows = append(rows, row)
		}
	}
	return rows
}

// ids of all results, in the order in which they first come.
func ids(reports []*hostcheck.Report) []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range reports {
		for _, x := range r.Results {
			if !seen[x.ID] {
				seen[x.ID] = true
				out = append(out, x.ID)
			}
		}
	}
	return out
}
