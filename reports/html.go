package reports

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"
	"time"

	"plimsoll/runner"
)

//go:embed page
var pageFiles embed.FS

// HTML writes the report as one self-contained page: style and drawings are
// inline, nothing is fetched, and the page's own policy forbids it.
func HTML(w io.Writer, r Report) error {
	style, err := pageFiles.ReadFile("page/style.css")
	if err != nil {
		return fmt.Errorf("write the report as HTML: %w", err)
	}
	t, err := template.New("report.tmpl").Funcs(pageFuncs).ParseFS(pageFiles, "page/*.tmpl")
	if err != nil {
		return fmt.Errorf("write the report as HTML: %w", err)
	}
	p := page{Report: r, Style: template.CSS(style), budget: newPlotBudget(r)}
	for i, run := range r.Runs {
		p.Views = append(p.Views, newRunView(run, i+1, &p.budget))
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("write the report as HTML: %w", err)
	}
	return nil
}

// apart matches the spaces inside a figure: before its unit, and in an interval.
var apart = regexp.MustCompile(`([0-9]) ([pnµmkMGTPE]?(?:s|B|flop|op)(?:/s)?\b)|(\[[0-9.e+-]+,) `)

// tied keeps figures from being broken over two lines.
func tied(s string) string { return apart.ReplaceAllString(s, "$1$3\u00a0$2") }

// judgedRow is what the template of a verdict needs.
type judgedRow struct {
	Row    Row
	Metric Metric
}

// pageFuncs are the template's words for what the other renderers call directly.
var pageFuncs = template.FuncMap{
	"quantity":      quantityText,
	"interval":      intervalText,
	"ratio":         ratioText,
	"ratioInterval": ratioInterval,
	"percent":       percent,
	"confidence":    confidence,
	"counted":       counted,
	"difference":    difference,
	"tail":          tailText,
	"tailRule":      tailRule,
	"waterfall":     waterfall,
	"few":           few,
	"title":         func(name string) string { return findMetric(name).title },
	"verdictLine":   verdictLine,
	"noiseLine":     noiseLine,
	"quietLine":     quietLine,
	"floorNote":     func() string { return floorNote },
	"when":          func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 MST") },
	"untrusted":     func(row Row) bool { return row.Role == Cell && len(row.Untrusted) > 0 },
	"better":        func(b runner.Better) string { return string(b) + " is better" },
	"sum":           func(b Breakdown) string { return b.account() },
	"tied":          tied,
	"share":         shareText,
	"join":          strings.Join,
	"found":         Finding.words,
	"failsOn":       Quirk.failsOn,
	"skipped":       groupSkips,
	"failed":        groupFailures,
	"cause":         failureGroup.cause,
	"judged":        func(row Row, m Metric) judgedRow { return judgedRow{row, m} },
	"outcome":       func(row Row, m Metric) string { return row.outcome(m) },
}
