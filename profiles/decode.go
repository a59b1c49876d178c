package profiles

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/viper"
)

// section is one mapping of the merged settings, whose values are text.
type section struct {
	get   func(name string) any
	path  string
	where map[string]place
	errs  *[]error
}

func (s section) fail(path, format string, args ...any) {
	at := ""
	// A value made up by a default stands under a path that was read.
	for p := path; at == ""; p = p[:max(0, strings.LastIndexAny(p, ".["))] {
		at = s.where[p].at
		if p == "" {
			break
		}
	}
	*s.errs = append(*s.errs, &Error{Where: at, Path: path, Problem: fmt.Sprintf(format, args...)})
}

func (s section) sub(name string) section {
	t := s
	t.path = join(s.path, name)
	m, _ := s.get(name).(map[string]any)
	t.get = func(name string) any { return m[name] }
	return t
}

// table gives the mappings of a list.
func (s section) table(name string) []section {
	var out []section
	rows, _ := s.get(name).([]any)
	for i, row := range rows {
		t := s
		t.path = fmt.Sprintf("%s[%d]", join(s.path, name), i)
		m, _ := row.(map[string]any)
		t.get = func(name string) any { return m[name] }
		out = append(out, t)
	}
	return out
}

func (s section) text(name string) string {
	text, _ := s.get(name).(string)
	return text
}

func (s section) list(name string) []string {
	items, _ := s.get(name).([]any)
	out := make([]string, len(items))
	for i, item := range items {
		out[i], _ = item.(string)
	}
	return out
}

// value parses the text under name, and is the zero value where there is none.
func value[T any](s section, name string, parse func(string) (T, error)) T {
	var none T
	if s.get(name) == nil {
		return none
	}
	v, err := parse(s.text(name))
	if err != nil {
		s.fail(join(s.path, name), "%v", err)
		return none
	}
	return v
}

// within makes a parser refuse what is below least or above most, where most
// is not 0; format says the bound.
func within[T int | int64 | float64 | time.Duration](parse func(string) (T, error), least, most T, format func(T) string) func(string) (T, error) {
	return func(s string) (T, error) {
		n, err := parse(s)
		switch {
		case err != nil:
			return n, err
		case n < least:
			return n, fmt.Errorf("%s is too little: the least is %s", s, format(least))
		case most != 0 && n > most:
			return n, fmt.Errorf("%s is too much: the most is %s", s, format(most))
		}
		return n, nil
	}
}

func number[T int | int64 | float64](n T) string { return fmt.Sprint(n) }

func parseInt(s string) (int, error) {
	n, err := parseCount(s)
	return int(n), err
}

// A run of more rounds, repeats or instances than this is a slip of the hand:
// the plan alone would fill the memory.
const mostOfAnything = 100_000

func parseSeed(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number from 0 to %d", s, uint64(math.MaxUint64))
	}
	return n, nil
}

// parseName keeps names fit for the directory that a run is kept in.
func parseName(s string) (string, error) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("%q: must be printable, and without /", s)
	}
	return s, nil
}

// decode makes a profile of the merged settings.
func decode(v *viper.Viper, where map[string]place, name string) (Profile, error) {
	var errs []error
	s := section{get: v.Get, where: where, errs: &errs}
	count := within(parseInt, 1, mostOfAnything, number)
	duration := func(least time.Duration) func(string) (time.Duration, error) {
		return within(parseDuration, least, 0, time.Duration.String)
	}
	p := Profile{
		Name:        name,
		Description: s.text("description"),
		Rounds:      value(s, "rounds", count),
		Seed:        value(s, "seed", parseSeed),
		Gap:         value(s, "gap", duration(0)),
		Timeout:     value(s, "timeout", duration(time.Millisecond)),
		Budget:      value(s, "budget", duration(time.Millisecond)),
		Limits:      decodeLimits(s, limitNames(v)),
		Workloads:   map[string]Workload{},
	}
	if s.get("name") != nil {
		p.Name = value(s, "name", parseName)
	}
	p.Factors = decodeFactors(s.sub("factors"), limitNames(v))
	for _, x := range s.table("exclude") {
		p.Exclude = append(p.Exclude, decodeExclusion(x, p))
	}
	for _, w := range Catalogue {
		if s.sub("workloads").get(w.Name) != nil || slices.Contains(p.Factors.Workload, w.Name) {
			p.Workloads[w.Name] = decodeWorkload(s.sub("workloads").sub(w.Name), w)
		}
	}
	p.Pools = decodePools(s.sub("pools"))
	p.Named = userLevels(p, where)
	if len(errs) > 0 {
		return Profile{}, errors.Join(errs...)
	}
	return p, nil
}

func decodePools(s section) Pools {
	const least = 512 << 20 // mkfs.xfs wants 300 MiB
	return Pools{
		Image:     value(s, "image", parseImage),
		Size:      value(s, "size", within(ParseBytes, least, 1<<50, FormatBytes)),
		Device:    s.text("device"),
		Overwrite: value(s, "overwrite", oneOf("value", []string{"true", "false"})) == "true",
		Place:     value(s, "place", oneOf("value", []string{"true", "false"})) == "true",
	}
}

// imageSources are what an image's name begins with, less the synthetic one.
var imageSources = []string{"dir", "tar", "oci", "docker-archive", "registry"}

func parseImage(s string) (string, error) {
	source, at, ok := strings.Cut(s, ":")
	if s != SyntheticImage && (!ok || at == "" || !slices.Contains(imageSources, source)) {
		return "", fmt.Errorf("image %q: must be %s, or one of %s and a colon and where it is", s, SyntheticImage, strings.Join(imageSources, ", "))
	}
	return s, nil
}

// SyntheticImage is the image that is made for the run.
const SyntheticImage = "synthetic"

func decodeWorkload(s section, w WorkloadType) Workload {
	out := Workload{Repeats: 1}
	if len(w.Params) > 0 {
		out.Params = map[string][]string{}
	}
	if s.get("repeats") != nil {
		out.Repeats = value(s, "repeats", within(parseInt, 1, mostOfAnything, number))
	}
	params := s.sub("params")
	for _, p := range w.Params {
		out.Params[p.Name] = []string{p.Default}
		if params.get(p.Name) != nil {
			out.Params[p.Name] = levels(params, p.Name, p.Canonical)
		}
	}
	return out
}

// levels parses the levels of one dimension: at least one, and no two equal
// once they are in canonical form.
func levels[T comparable](s section, name string, parse func(string) (T, error)) []T {
	var out []T
	texts := s.list(name)
	if len(texts) == 0 {
		s.fail(join(s.path, name), "is empty: name at least one level")
	}
	for i, text := range texts {
		path := fmt.Sprintf("%s[%d]", join(s.path, name), i)
		v, err := parse(text)
		switch {
		case err != nil:
			s.fail(path, "%v", err)
		case slices.Contains(out, v):
			s.fail(path, "%v stands twice", v)
		}
		out = append(out, v)
	}
	return out
}
