package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plimsoll/runner"
)

// TestRender writes the pages of the synthetic journals for a person to look
// at, into the directory that PLIMSOLL_RENDER names.
func TestRender(t *testing.T) {
	dir := os.Getenv("PLIMSOLL_RENDER")
	for name, r := range map[string]Report{
		"quick":    mustNew(t, quick("vm", 7, 6)),
		"eventful": mustNew(t, eventful()),
		"beside":   mustNew(t, quick("alpha", 7, 12), quick("beta", 8, 12), eventful()),
	} {
		page := render(t, r)
		checkPage(t, page)
		if dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+".html"), page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func render(t *testing.T, r Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// checkPage demands what holds of every page. Our pages close all their
// elements, so that the XML reader, which forgives nothing, can check the
// nesting that a browser would mend in silence.
func checkPage(t *testing.T, page []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	ids, links := map[string]bool{}, []string{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, column := d.InputPos()
			t.Fatalf("line %d, column %d: %v", line, column, err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if slices.Contains([]string{"script", "iframe", "img", "image", "object", "embed", "form", "base", "use", "video", "audio"}, e.Name.Local) {
			t.Errorf("the page has an element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			switch name := a.Name.Local; {
			case strings.HasPrefix(name, "on"), slices.Contains([]string{"src", "srcset", "action", "poster", "data", "background"}, name):
				t.Errorf("<%s %s=%q>", e.Name.Local, name, a.Value)
			case name == "href" && a.Value == "data:,":
			case name == "href" && strings.HasPrefix(a.Value, "#"):
				links = append(links, a.Value[1:])
			case name == "href", name == "style" && strings.Contains(a.Value, "url("):
				t.Errorf("<%s %s=%q> leaves the page", e.Name.Local, name, a.Value)
			case name == "id" && ids[a.Value]:
				t.Errorf("two elements have the id %s", a.Value)
			case name == "id":
				ids[a.Value] = true
			case name == "role" && a.Value == "img" && !slices.ContainsFunc(e.Attr, func(b xml.Attr) bool { return b.Name.Local == "aria-label" }):
				t.Errorf("a drawing has no label")
			}
		}
	}
	for _, id := range links {
		if !ids[id] {
			t.Errorf("a link leads to #%s, which is nowhere", id)
		}
	}
	style := string(page[bytes.Index(page, []byte("<style>")):bytes.Index(page, []byte("</style>"))])
	for _, fetches := range []string{"url(", "@import", "@font-face", "http:", "https:"} {
		if strings.Contains(style, fetches) {
			t.Errorf("the style sheet has %s", fetches)
		}
	}
	for _, leftover := range []string{"ZgotmplZ", "#010", "font-family:Liberation", "fill:#", "stroke:#"} {
		if bytes.Contains(page, []byte(leftover)) {
			t.Errorf("the page has %s: a value that the template refused, or a colour or font that the style sheet does not govern", leftover)
		}
	}
}

// hostile gives every name in a journal the same text.
func hostile(text string) *runner.Journal {
	j := eventful()
	j.Header.Run, j.Header.Hosts[0].Name, j.Header.Profile.Name = text, text, text
	j.Header.Hosts[0].Facts = map[string]string{text: text}
	j.Header.Levels = runner.Levels{text: {text: {text: text}}}
	j.Header.Command = []string{text}
	for i := range j.Samples {
		s := &j.Samples[i]
		s.Key.Host = text
		if i%3 == 0 {
			s.Metric, s.Unit, s.Better = "phase/"+text, "s", runner.Lower
		}
		if s.Key.Runtime == "isolate" {
			s.Key.Runtime, s.Key.Limits, s.Key.Params = text, text, text
		}
	}
	for i := range j.Trials {
		j.Trials[i].Key.Host = text
	}
	for i := range j.Failures {
		j.Failures[i].Op, j.Failures[i].Error, j.Failures[i].Key.Host = text, text, text
	}
	j.Skips[0].Reason, j.Skips[0].Fix, j.Skips[0].Key.Host = text, text, text
	j.Warnings[0].Text = text
	j.Notes = []string{text}
	return j
}

func TestHostileNames(t *testing.T) {
	for _, text := range []string{
		`<script>alert(1)</script>`,
		`"><img src="http://evil.example/x" onerror=alert(1)>`,
		`</style><style>@import url(//evil.example)</style>`,
		"</svg></title></details>",
		"' onmouseover='x",
		"{{.Profile}}",
		"\x1b[31mred\x1b[0m\r\n\x07",
		strings.Repeat("very-long-", 60),
		"\u202eright to left",
	} {
		r := mustNew(t, hostile(text))
		page := render(t, r)
		if strings.ContainsAny(text, "\x1b\x07") {
			// Control characters are not XML; that they are harmless in HTML is known.
			page = bytes.Map(func(c rune) rune {
				if c < ' ' && c != '\n' && c != '\t' {
					return -1
				}
				return c
			}, page)
		}
		checkPage(t, page)
		var b strings.Builder
		if err := Text(&b, r, false); err != nil {
			t.Fatal(err)
		}
		checkText(t, b.String())
	}
}

// A page of a hundred thousand samples must still open on a phone.
func TestPageSize(t *testing.T) {
	s := newSynthetic("vm", 3, 100)
	const wanted = 100_000
	s.rounds(100, func() {
		for range 25 {
			for _, k := range []runner.Key{bare("startup"), bare("startup").Control(), container("startup", "isolate"), container("startup", "runc")} {
				var all []measured
				for m := range 10 {
					all = append(all, seconds(fmt.Sprintf("metric_%d", m), 1e-3, 0.2))
				}
				s.trial(k, all...)
			}
		}
	})
	j := s.end("complete")
	if len(j.Samples) != wanted {
		t.Fatalf("%d samples, want %d", len(j.Samples), wanted)
	}
	page := render(t, mustNew(t, j))
	checkPage(t, page)
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes, want at most 2 MiB", len(page))
	}
}

// Many metrics of many cells must not make it large either.
func TestPageSizeManyCells(t *testing.T) {
	s := newSynthetic("vm", 4, 6)
	s.rounds(6, func() {
		for fleet := 1; fleet <= 24; fleet++ {
			for _, runtime := range []string{"bare", "isolate", "runc"} {
				k := container("startup", runtime)
				if runtime == "bare" {
					k = bare("startup")
				}
				k.Fleet = fleet
				var all []measured
				for m := range 12 {
					all = append(all, seconds(fmt.Sprintf("metric_%d", m), 1e-3, 0.2))
				}
				s.trial(k, all...)
			}
		}
	})
	page := render(t, mustNew(t, s.end("complete")))
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes, want at most 2 MiB", len(page))
	}
}
