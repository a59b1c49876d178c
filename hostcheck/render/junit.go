package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"plimsoll/hostcheck"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Name    string       `xml:"name,attr"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Error   *junitMessage `xml:"error,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes one suite for each group: a failure for what is required and
// missing, an error for what is required and cannot be known. Warnings pass,
// and say so in their output.
func JUnit(w io.Writer, r *hostcheck.Report, _ Style) error {
	all := junitSuites{Name: "checkconfig " + string(r.Use)}
	for _, x := range r.Results {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != x.Group {
			all.Suites = append(all.Suites, junitSuite{Name: x.Group})
		}
		all.Suites[len(all.Suites)-1].add(x)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (s *junitSuite) add(x hostcheck.Result) {
	c := junitCase{Name: x.ID, Class: "checkconfig." + strings.ReplaceAll(x.Group, " ", "-")}
	m := &junitMessage{Message: x.Title + suffix(x.Detail), Text: strings.TrimSpace(evidence(x) + "\n" + x.Explains + "\n" + x.Fix)}
	s.Tests++
	switch {
	case x.Verdict == hostcheck.Fail:
		c.Failure = m
		s.Failures++
	case x.Verdict == hostcheck.Unknown && x.Severity == hostcheck.Required:
		c.Error = m
		s.Errors++
	case x.Verdict == hostcheck.Skip, x.Verdict == hostcheck.Unknown:
		m.Text = ""
		c.Skipped = m
		s.Skipped++
	case x.Verdict == hostcheck.Warn:
		c.Out = "warning: " + m.Message + "\n" + m.Text
	}
	s.Cases = append(s.Cases, c)
}
