package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"plimsoll/hostcheck"
)

// painter colours text for a terminal.
type painter bool

func (p painter) paint(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) good(s string) string { return p.paint("32", s) }
func (p painter) bad(s string) string  { return p.paint("1;31", s) }
func (p painter) warn(s string) string { return p.paint("33", s) }
func (p painter) dim(s string) string  { return p.paint("2", s) }
func (p painter) bold(s string) string { return p.paint("1", s) }

func (p painter) ready(r hostcheck.Readiness, s string) string {
	switch r {
	case hostcheck.Ready:
		return p.good(s)
	case hostcheck.NotReady:
		return p.bad(s)
	}
	return p.warn(s)
}

// Text writes the first screen: which host, whether it is ready, what is wrong
// and how to mend it, how many containers it holds. With Style.All it writes
// every check and option after it.
func Text(out io.Writer, r *hostcheck.Report, s Style) error {
	w := bufio.NewWriter(out)
	p := painter(s.Color)
	r = clean(r)
	fmt.Fprintln(w, p.bold(host(r)))
	if line := surroundings(r); line != "" {
		fmt.Fprintln(w, p.dim(line))
	}
	if r.Config != nil && !r.Config.Whole {
		fmt.Fprintln(w, p.warn("The configuration looks like a piece of one: what it does not mention is taken as off."))
	}
	fmt.Fprintf(w, "\n%s\n", p.ready(r.Ready, headline(r)))
	failures, warnings, unknown := pressing(r)
	if len(failures) > 0 {
		fmt.Fprintf(w, "\n%s\n", p.bold("Missing, and required"))
		list(w, p, p.bad("✗"), failures)
	}
	if len(unknown) > 0 {
		fmt.Fprintf(w, "\n%s\n", p.bold("Cannot be known from here"))
		folded(w, p, unknown)
	}
	if len(warnings) > 0 {
		fmt.Fprintf(w, "\n%s\n", p.bold("Recommended"))
		list(w, p, p.warn("!"), warnings)
	}
	if r.Density != nil {
		density(w, p, r, s)
	}
	if r.Fragment != "" {
		fmt.Fprintf(w, "\n%s\n%s", p.bold("Configuration that would mend it (scripts/kconfig/merge_config.sh)"), r.Fragment)
	}
	if s.All || r.Use == hostcheck.All {
		matrix(w, p, r)
		capabilities(w, p, r)
	}
	if s.All {
		checks(w, p, r)
		options(w, p, r)
		limits(w, p, r)
	}
	fmt.Fprintf(w, "\n%s", p.dim(tally(r)))
	if !s.All {
		fmt.Fprint(w, p.dim("   (--all shows everything; checkconfig explain ID says why)"))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// list writes results with what was tried and how to mend them.
func list(w io.Writer, p painter, mark string, results []hostcheck.Result) {
	for _, x := range results {
		fmt.Fprintf(w, "  %s %s  %s%s\n", mark, p.bold(x.ID), x.Title, suffix(x.Detail))
		if x.Explains != "" {
			fmt.Fprintf(w, "      cause  %s\n", x.Explains)
		}
		if ev := evidence(x); ev != "" {
			fmt.Fprintf(w, "      tried  %s\n", p.dim(ev))
		}
		if x.Fix != "" {
			fmt.Fprintf(w, "      fix    %s\n", x.Fix)
		}
	}
}

// folded writes results that share a remedy as one: an ordinary user would
// read "run it as root" a dozen times.
func folded(w io.Writer, p painter, results []hostcheck.Result) {
	for i, x := range results {
		same := func(y hostcheck.Result) bool { return y.Fix == x.Fix && x.Fix != "" }
		if slices.ContainsFunc(results[:i], same) {
			continue
		}
		var others []string
		for _, y := range results[i+1:] {
			if same(y) {
				others = append(others, y.ID)
			}
		}
		if len(others) == 0 {
			list(w, p, p.warn("?"), results[i:i+1])
			continue
		}
		fmt.Fprintf(w, "  %s %s  %s%s\n", p.warn("?"), p.bold(x.ID), x.Title, suffix(x.Detail))
		fmt.Fprintf(w, "      and    %s\n", strings.Join(others, ", "))
		fmt.Fprintf(w, "      fix    %s\n", x.Fix)
	}
}

func suffix(detail string) string {
	if detail == "" {
		return ""
	}
	return ": " + detail
}

func density(w io.Writer, p painter, r *hostcheck.Report, s Style) {
	fmt.Fprintf(w, "\nThis host %s.\n", r.Density)
	if r.Density.Raise != "" {
		fmt.Fprintf(w, "  raise it: %s\n", r.Density.Raise)
	}
	var next []string
	seen := map[string]bool{r.Density.Wall: true} // two files may limit one thing
	for _, wall := range r.Density.Walls {
		if !seen[wall.Name] && (s.All || len(next) < 3) {
			seen[wall.Name] = true
			next = append(next, fmt.Sprintf("%s at %s", wall.Name, hostcheck.Thousands(wall.Most)))
		}
	}
	if len(next) > 0 {
		fmt.Fprintf(w, "  %s\n", p.dim("then "+strings.Join(next, ", ")))
	}
}

// matrix shows every area against every use.
func matrix(w io.Writer, p painter, r *hostcheck.Report) {
	fmt.Fprintf(w, "\n%s\n%-16s", p.bold("Readiness"), "")
	for _, row := range r.Matrix {
		fmt.Fprintf(w, "  %-*s", columnWidth(row), row.Use)
	}
	line := func(name string, cell func(hostcheck.UseReadiness) (string, hostcheck.Readiness)) {
		fmt.Fprintf(w, "\n%-16s", name)
		for _, row := range r.Matrix {
			text, state := cell(row)
			text = fmt.Sprintf("%-*s", columnWidth(row), text)
			if state != "" {
				text = p.ready(state, text)
			}
			fmt.Fprint(w, "  "+text)
		}
	}
	line("", func(row hostcheck.UseReadiness) (string, hostcheck.Readiness) { return string(row.Ready), row.Ready })
	for _, g := range r.Groups() {
		if !slices.ContainsFunc(r.Matrix, func(row hostcheck.UseReadiness) bool { return row.Groups[g] != "" }) {
			continue // nobody needs it, though some may use it
		}
		line(g, func(row hostcheck.UseReadiness) (string, hostcheck.Readiness) {
			state := row.Groups[g]
			return map[hostcheck.Readiness]string{hostcheck.Ready: "ok", hostcheck.NotReady: "FAIL", hostcheck.Unclear: "unknown", "": "-"}[state], state
		})
	}
	if !r.Offline {
		line("holds at most", func(row hostcheck.UseReadiness) (string, hostcheck.Readiness) {
			return hostcheck.Thousands(row.Holds), ""
		})
		line("first wall", func(row hostcheck.UseReadiness) (string, hostcheck.Readiness) { return row.Wall, "" })
	}
	fmt.Fprintln(w)
}

// columnWidth holds a use's name, its state and its wall.
func columnWidth(row hostcheck.UseReadiness) int {
	return max(len(row.Use), len("not ready"), len(row.Wall))
}

func capabilities(w io.Writer, p painter, r *hostcheck.Report) {
	if len(r.Capabilities) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", p.bold("Can this host"))
	for _, c := range r.Capabilities {
		fmt.Fprintf(w, "  %-30s %s  %s\n", c.Name+"?", p.answer(c.Answer, fmt.Sprintf("%-12s", c.Answer)), p.dim(c.By))
	}
}

func (p painter) answer(a hostcheck.Answer, s string) string {
	switch a {
	case hostcheck.Yes:
		return p.good(s)
	case hostcheck.No:
		return p.bad(s)
	}
	return p.warn(s)
}

func (p painter) verdict(v hostcheck.Verdict, s string) string {
	switch v {
	case hostcheck.Pass:
		return p.good(s)
	case hostcheck.Fail:
		return p.bad(s)
	case hostcheck.Skip:
		return p.dim(s)
	}
	return p.warn(s)
}

// isOption tells a kernel option's result from a check's.
func isOption(x hostcheck.Result) bool { return strings.HasPrefix(x.ID, "CONFIG_") }

func checks(w io.Writer, p painter, r *hostcheck.Report) {
	group := ""
	for _, x := range r.Results {
		if isOption(x) {
			continue
		}
		if x.Group != group {
			group = x.Group
			fmt.Fprintf(w, "\n%s\n", p.bold(capital(group)))
		}
		fmt.Fprintf(w, "- %s: %s  %s%s\n", x.ID, p.verdict(x.Verdict, string(x.Verdict)), x.Title, suffix(x.Detail))
		if x.Verdict == hostcheck.Pass || x.Verdict == hostcheck.Skip {
			continue
		}
		if x.Explains != "" {
			fmt.Fprintf(w, "    cause  %s\n", x.Explains)
		}
		if ev := evidence(x); ev != "" {
			fmt.Fprintf(w, "    tried  %s\n", p.dim(ev))
		}
		if x.Fix != "" {
			fmt.Fprintf(w, "    fix    %s\n", x.Fix)
		}
	}
}

// options are written as the scripts people know write them.
func options(w io.Writer, p painter, r *hostcheck.Report) {
	group := ""
	for _, x := range r.Results {
		if !isOption(x) {
			continue
		}
		if x.Group != group {
			group = x.Group
			fmt.Fprintf(w, "\n%s\n", p.bold(capital(group)))
		}
		state := p.answer(x.Answer, or(x.Detail, string(x.Answer)))
		if x.Answer == hostcheck.NotRelevant || x.Answer == hostcheck.No && x.Severity == hostcheck.Optional {
			state = p.dim(or(x.Detail, string(x.Answer)))
		}
		note := ""
		switch {
		case x.Decided != "" && x.Answer == hostcheck.No:
			note = p.dim(" (" + x.Decided + " decides)")
		case x.Answer == hostcheck.No && strings.HasSuffix(x.Group, "hardening"):
			note = p.dim(" (a matter of policy)")
		case x.Answer == hostcheck.No:
			note = p.dim(" (" + or(string(x.Severity), "not needed") + ")")
		}
		fmt.Fprintf(w, "- %s: %s%s\n", x.ID, state, note)
	}
	if r.Config != nil {
		fmt.Fprintf(w, "\n%s\n", p.bold("Packet filters (one is enough)"))
		for _, route := range r.Config.Routes {
			if route.Complete() {
				fmt.Fprintf(w, "- %s: %s\n", route.Name, p.good("enabled"))
			} else {
				fmt.Fprintf(w, "- %s: %s\n", route.Name, p.dim("lacks CONFIG_"+strings.Join(route.Lacking, ", CONFIG_")))
			}
		}
	}
}

func limits(w io.Writer, p painter, r *hostcheck.Report) {
	if len(r.Limits) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", p.bold("Limits"))
	for _, l := range r.Limits {
		fmt.Fprintf(w, "- %-18s %14.0f  used %12.0f  %s\n", l.Name, l.Limit, l.Used, p.dim(l.From))
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
