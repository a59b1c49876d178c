package main

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"plimsoll/runner"
)

// writePlan prints a plan for people: cells, trials and times, and what this
// host cannot run.
func writePlan(to io.Writer, p runner.Plan) error {
	out := bufio.NewWriter(to)
	trials := 0
	for _, c := range p.Cells {
		trials += c.Repeats * p.Profile.Rounds
	}
	fmt.Fprintf(out, "profile %s · %d rounds · %d trials · about %s · seed %d\n\n", p.Profile.Name, p.Profile.Rounds, trials, about(p.Estimate), p.Seed)
	fmt.Fprintf(out, "%8s  %6s  cell\n", "a round", "each")
	for _, c := range p.Cells {
		fmt.Fprintf(out, "%8d  %6s  %s%s\n", c.Repeats, about(c.Estimate), c.Key, roles[c.Role])
	}
	if len(p.Skips) > 0 {
		fmt.Fprint(out, "\nnot on this host\n")
	}
	for _, group := range groupSkips(p.Skips) {
		fmt.Fprintf(out, "  %s\n", group.why())
		for _, cell := range group.cells {
			fmt.Fprintf(out, "    %s\n", cell)
		}
	}
	return out.Flush()
}

// writePlanJSON prints a plan for programs.
func writePlanJSON(out io.Writer, p runner.Plan) error {
	return writeJSON(out, struct {
		Schema int `json:"schema"`
		runner.Plan
	}{schema, p})
}

var roles = map[runner.Role]string{
	runner.AddedBaseline: "   (baseline)",
	runner.Control:       "   (A/A control)",
}

// skipGroup are the cells that one lack of the host skips.
type skipGroup struct {
	reason, fix string
	named       bool // the user named one of them
	cells       []string
}

func (g skipGroup) why() string {
	if g.fix == "" {
		return g.reason
	}
	return fmt.Sprintf("%s (%s)", g.reason, g.fix)
}

// groupSkips groups by reason, in order of appearance.
func groupSkips(skips []runner.Skip) []skipGroup {
	var groups []skipGroup
	at := map[[2]string]int{}
	for _, s := range skips {
		i, ok := at[[2]string{s.Reason, s.Fix}]
		if !ok {
			i = len(groups)
			at[[2]string{s.Reason, s.Fix}] = i
			groups = append(groups, skipGroup{reason: s.Reason, fix: s.Fix})
		}
		groups[i].cells = append(groups[i].cells, s.Key.String())
		groups[i].named = groups[i].named || s.Named
	}
	return groups
}

// about rounds a time to what an estimate can bear.
func about(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
