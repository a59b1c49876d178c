package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"plimsoll/hostcheck"
	"plimsoll/hostcheck/kconfig"
)

func explainCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say why something is checked, who needs it and how to mend it",
		Long:  "Explain a check (fs.overlay) or a kernel option (CONFIG_OVERLAY_FS).\nThe ids are those of the report; checkconfig --all lists them.",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return explain(std.Out, args[0]) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return known(), cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func explain(w io.Writer, id string) error {
	checks := hostcheck.Checks()
	if i := slices.IndexFunc(checks, func(c hostcheck.Check) bool { return c.ID == id }); i >= 0 {
		explainCheck(w, checks[i])
		return nil
	}
	options, err := kconfig.Options()
	if err != nil {
		return err
	}
	if o, ok := kconfig.Lookup(options, strings.ToUpper(id)); ok {
		explainOption(w, o)
		return nil
	}
	if near := nearest(id, known()); near != "" {
		return fmt.Errorf("explain %s: no such check; did you mean %s?", id, near)
	}
	return fmt.Errorf("explain %s: no such check; checkconfig --all lists them", id)
}

func explainCheck(w io.Writer, c hostcheck.Check) {
	fmt.Fprintf(w, "%s  %s\n\n%s\n", c.ID, c.Title, sentence(c.Why))
	explainNeeds(w, c.Severity)
	if len(c.Options) > 0 {
		fmt.Fprintf(w, "\nKernel options that it depends on: CONFIG_%s\n", strings.Join(c.Options, ", CONFIG_"))
	}
	if c.Fix != "" {
		fmt.Fprintf(w, "\nIf it fails:\n  %s\n", c.Fix)
	}
}

func explainNeeds(w io.Writer, needs func(hostcheck.Use) hostcheck.Severity) {
	fmt.Fprintln(w)
	for _, u := range hostcheck.Uses {
		s := string(needs(u))
		if s == "" {
			s = "not needed"
		}
		fmt.Fprintf(w, "  %-16s %s\n", u, s)
	}
}

func explainOption(w io.Writer, o kconfig.Option) {
	fmt.Fprintf(w, "CONFIG_%s  %s, %s\n\n%s\n\n", o.Name, o.Group, o.Level, sentence(o.Why))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-16s %s\n", name, value)
		}
	}
	want := map[string]string{"on": "y or m", "y": "y", "n": "off", "info": "nothing, shown only"}[o.Want]
	if want == "" {
		want = o.Want
	}
	line("wanted", want)
	if o.Since.Known() {
		line("since", "Linux "+o.Since.String())
	}
	if o.Until.Known() {
		line("gone since", "Linux "+o.Until.String())
	}
	if o.Never {
		line("in mainline", "never")
	}
	if o.Renamed == "*" {
		line("in its place", "nothing is needed")
	} else {
		line("in its place", o.Renamed)
	}
	line("or instead", strings.NewReplacer("|", " or ", "+", " with ").Replace(o.Instead))
	line("only on", o.Arch)
	line("module", o.Module)
	line("listed by", strings.Join(o.Lists, ", "))
	if by := hostcheck.Decider(o.Name); by != "" {
		line("decided by", by+", which tries it")
	}
	explainNeeds(w, func(u hostcheck.Use) hostcheck.Severity { return hostcheck.OptionNeeds(o, u) })
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// known are all ids.
func known() []string {
	var ids []string
	for _, c := range hostcheck.Checks() {
		ids = append(ids, c.ID)
	}
	if options, err := kconfig.Options(); err == nil {
		for _, o := range options {
			ids = append(ids, "CONFIG_"+o.Name)
		}
	}
	return ids
}

// nearest is the id with the fewest changes from s, "" if none is near.
func nearest(s string, ids []string) string {
	best, least := "", len(s)/3+1
	for _, id := range ids {
		if strings.EqualFold(id, s) || strings.HasSuffix(id, "."+s) {
			return id
		}
		if d := distance(strings.ToLower(s), strings.ToLower(id)); d < least {
			best, least = id, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
