package render

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"plimsoll/hostcheck"
)

// clean gives a copy of a report without control characters: what a host's
// files hold, or another host's JSON, must not steer the reader's terminal.
func clean(r *hostcheck.Report) *hostcheck.Report {
	c := *r
	c.Host = maps.Clone(r.Host)
	for k, v := range c.Host {
		c.Host[k] = printable(v)
	}
	c.Results = slices.Clone(r.Results)
	for i := range c.Results {
		x := &c.Results[i]
		for _, s := range []*string{&x.ID, &x.Group, &x.Title, &x.Detail, &x.Explains, &x.Fix} {
			*s = printable(*s)
		}
		x.Evidence = slices.Clone(x.Evidence)
		for j := range x.Evidence {
			e := &x.Evidence[j]
			e.Call, e.Errno, e.File, e.Value = printable(e.Call), printable(e.Errno), printable(e.File), printable(e.Value)
		}
	}
	if r.Config != nil {
		config := *r.Config
		config.Source = printable(config.Source)
		c.Config = &config
	}
	return &c
}

// printable replaces what is not to be printed; a line's end becomes a space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
