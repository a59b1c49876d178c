package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"plimsoll/hostcheck"
)

// Prometheus writes the text exposition format, for node_exporter's textfile
// collector.
func Prometheus(out io.Writer, r *hostcheck.Report, _ Style) error {
	w := bufio.NewWriter(out)
	number := map[hostcheck.Readiness]string{hostcheck.Ready: "1", hostcheck.NotReady: "0", hostcheck.Unclear: "NaN"}
	family(w, "checkconfig_ready", "Whether the host is ready for a use: 1, 0, or NaN where that cannot be known.")
	for _, row := range r.Matrix {
		fmt.Fprintf(w, "checkconfig_ready{use=%s} %s\n", label(string(row.Use)), number[row.Ready])
	}
	family(w, "checkconfig_check", "The verdict of each check for the use that was asked: 1.")
	for _, x := range r.Results {
		if isOption(x) {
			continue
		}
		fmt.Fprintf(w, "checkconfig_check{id=%s,group=%s,severity=%s,use=%s,verdict=%s} 1\n",
			label(x.ID), label(x.Group), label(string(x.Severity)), label(string(r.Use)), label(string(x.Verdict)))
	}
	family(w, "checkconfig_results", "Checks and kernel options by verdict, for the use that was asked.")
	n := map[hostcheck.Verdict]int{}
	for _, x := range r.Results {
		n[x.Verdict]++
	}
	for _, v := range []hostcheck.Verdict{hostcheck.Pass, hostcheck.Warn, hostcheck.Fail, hostcheck.Skip, hostcheck.Unknown} {
		fmt.Fprintf(w, "checkconfig_results{use=%s,verdict=%s} %d\n", label(string(r.Use)), label(string(v)), n[v])
	}
	if d := r.Density; d != nil {
		family(w, "checkconfig_containers_max", "How many containers the host holds, as each limit allows; the least counts.")
		least := map[string]int64{}
		var order []string
		for _, wall := range d.Walls {
			if _, seen := least[wall.From]; !seen {
				order = append(order, wall.From)
				least[wall.From] = wall.Most
			}
		}
		for _, from := range order {
			fmt.Fprintf(w, "checkconfig_containers_max{use=%s,limit=%s} %d\n", label(string(d.Use)), label(from), least[from])
		}
	}
	family(w, "checkconfig_duration_seconds", "How long the run took.")
	fmt.Fprintf(w, "checkconfig_duration_seconds %g\n", r.Elapsed.Seconds())
	return w.Flush()
}

func family(w io.Writer, name, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// label quotes a value as the format asks: backslash, quote and newline.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
