// Package render writes what hostcheck found: for people, and for programs.
package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"plimsoll/hostcheck"
)

// Style says how much to show of a report, and how.
type Style struct {
	All   bool // everything, not only what is wrong
	Color bool // ANSI colours
}

// Formats are those that a report can be written in.
var Formats = []struct {
	Name  string
	Write func(io.Writer, *hostcheck.Report, Style) error
}{
	{"text", Text},
	{"json", JSON},
	{"markdown", Markdown},
	{"junit", JUnit},
	{"sarif", SARIF},
	{"prometheus", Prometheus},
}

// Write writes a report in a format by its name.
func Write(w io.Writer, format string, r *hostcheck.Report, s Style) error {
	var names []string
	for _, f := range Formats {
		if f.Name == format {
			return f.Write(w, r, s)
		}
		names = append(names, f.Name)
	}
	return fmt.Errorf("--format %s: no such format; choose one of %s", format, strings.Join(names, ", "))
}

// JSON writes the report as it is; its schema field is the format's version.
func JSON(w io.Writer, r *hostcheck.Report, _ Style) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// host is one line that says which host this is.
func host(r *hostcheck.Report) string {
	if r.Offline {
		return fmt.Sprintf("%s: Linux %s for %s, %d options", r.Config.Source, r.Config.Version, or(r.Config.Arch, "an unknown architecture"), r.Config.Options)
	}
	f := r.Host
	parts := []string{f["host.name"], "Linux " + f["kernel.release"] + " " + f["kernel.arch"],
		strings.TrimSpace(f["os.name"] + " " + f["os.version"])}
	if f["cpu.count"] != "" {
		parts = append(parts, strings.TrimSuffix(f["cpu.count"]+" × "+or(f["cpu.model"], "CPU"), " "))
	}
	if n := gibibytes(f["memory.total"]); n != "" {
		parts = append(parts, n)
	}
	switch v := f["virtualization"]; v {
	case "", "none":
	case "unnamed":
		parts = append(parts, "virtual machine")
	default:
		parts = append(parts, v+" "+f["virtualization.role"])
	}
	if c := f["container"]; c != "" && c != "none" {
		parts = append(parts, "inside a container ("+c+")")
	}
	if f["user.euid"] != "0" && f["user.euid"] != "" {
		parts = append(parts, "not root")
	}
	var shown []string
	for _, p := range parts {
		if p != "" {
			shown = append(shown, p)
		}
	}
	return strings.Join(shown, " · ")
}

// surroundings is a second line: where things were looked for.
func surroundings(r *hostcheck.Report) string {
	if r.Offline {
		return ""
	}
	config := "kernel configuration not found"
	if r.Config != nil {
		config = "configuration " + r.Config.Source
	}
	return fmt.Sprintf("cgroups %s · %s · data directory %s", or(r.Host["cgroup.layout"], "none"), config, r.Host["data.dir"])
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func gibibytes(bytes string) string {
	var n float64
	if _, err := fmt.Sscan(bytes, &n); err != nil || n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f GiB", n/(1<<30))
}

// headline answers the question that was asked.
func headline(r *hostcheck.Report) string {
	use := string(r.Use)
	if r.Use == hostcheck.All {
		use = "every use"
	}
	switch r.Ready {
	case hostcheck.Ready:
		return "READY for " + use
	case hostcheck.NotReady:
		return "NOT READY for " + use
	}
	return "NOT KNOWN to be ready for " + use
}

// count of verdicts for the use that was asked.
func tally(r *hostcheck.Report) string {
	n := map[hostcheck.Verdict]int{}
	for _, x := range r.Results {
		n[x.Verdict]++
	}
	var parts []string
	for _, v := range []hostcheck.Verdict{hostcheck.Pass, hostcheck.Warn, hostcheck.Fail, hostcheck.Unknown, hostcheck.Skip} {
		parts = append(parts, fmt.Sprintf("%d %s", n[v], v))
	}
	return strings.Join(parts, " · ")
}

// pressing are the results that the first screen shows: what fails, and what
// of the recommended things is missing or not known.
func pressing(r *hostcheck.Report) (failures, warnings, unknown []hostcheck.Result) {
	for _, x := range r.Results {
		switch {
		case x.Verdict == hostcheck.Fail:
			failures = append(failures, x)
		case x.Verdict == hostcheck.Warn && x.Severity != hostcheck.Optional:
			warnings = append(warnings, x)
		case x.Verdict == hostcheck.Unknown && x.Severity != hostcheck.Optional:
			unknown = append(unknown, x)
		}
	}
	return failures, warnings, unknown
}

// evidence of a result in one line.
func evidence(x hostcheck.Result) string {
	var parts []string
	for _, e := range x.Evidence {
		parts = append(parts, e.String())
	}
	return strings.Join(parts, "; ")
}
