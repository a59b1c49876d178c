package profiles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader turns YAML nodes into the nested maps that viper merges, and keeps
// where each value came from. Scalars stay the text that the user wrote:
// YAML's own types would turn cpuset 010 into 8 and variant 1.10 into 1.1.
type reader struct {
	from  string // "mine.yaml", or a flag or variable
	lines bool   // from is a file: say the line too
	user  bool   // the user's own words, not a built-in profile
	where map[string]place
	errs  *[]error
}

// place is where a value came from.
type place struct {
	at   string // "mine.yaml:12"
	user bool
}

func (r reader) at(n *yaml.Node) string {
	if r.lines {
		return fmt.Sprintf("%s:%d", r.from, max(n.Line, 1))
	}
	return r.from
}

func (r reader) fail(n *yaml.Node, path, format string, args ...any) {
	*r.errs = append(*r.errs, &Error{Where: r.at(n), Path: path, Problem: fmt.Sprintf(format, args...)})
}

// read returns what node holds: a string, []any or map[string]any as s
// demands, or nil where there is nothing or a fault.
func (r reader) read(n *yaml.Node, s shape, path string) any {
	r.where[path] = place{r.at(n), r.user}
	null := n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
	switch {
	case n.Kind == yaml.AliasNode:
		r.fail(n, path, "YAML aliases are not used in profiles: write the value out")
	case null && (s.kind == scalar || s.kind == list):
		r.fail(n, path, "has no value")
	case null && s.kind == table: // "exclude:" and no more is an empty one
		return []any{}
	case null:
		return map[string]any{}
	case s.kind == scalar && n.Kind == yaml.ScalarNode:
		return n.Value
	case s.kind == list && n.Kind == yaml.ScalarNode:
		return r.split(n, path)
	case (s.kind == list || s.kind == table) && n.Kind == yaml.SequenceNode:
		element := shape{kind: scalar}
		if s.kind == table {
			element = shape{kind: mapping, keys: s.keys}
		}
		out := []any{}
		for i, e := range n.Content {
			out = append(out, r.read(e, element, fmt.Sprintf("%s[%d]", path, i)))
		}
		return out
	case (s.kind == mapping || s.kind == named) && n.Kind == yaml.MappingNode:
		return r.mapping(n, s, path)
	default:
		r.fail(n, path, "must be %s", s.kind)
	}
	return nil
}

// split reads one scalar as a list: "1,8" is [1, 8].
func (r reader) split(n *yaml.Node, path string) any {
	out := []any{}
	for i, part := range strings.Split(n.Value, ",") {
		r.where[fmt.Sprintf("%s[%d]", path, i)] = place{r.at(n), r.user}
		out = append(out, strings.TrimSpace(part))
	}
	return out
}

// limitsName is what the user may call a set of limits. Viper lower-cases
// keys and splits them at dots, so names that would change are refused.
var limitsName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

func (r reader) mapping(n *yaml.Node, s shape, path string) any {
	out := map[string]any{}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := k.Value
		here := join(path, name)
		under, ok := s.find(name)
		switch {
		case k.Kind != yaml.ScalarNode:
			r.fail(k, path, "a key must be a name")
			continue
		case s.kind == mapping && !ok:
			r.fail(k, here, "%s", unknown("key", name, s.names()))
			continue
		case s.kind == named && (!limitsName.MatchString(name) || name == "none"):
			r.fail(k, here, "a name must be small letters, digits, - and _, and not none")
			continue
		case seen[name] > 0:
			r.fail(k, here, "stands twice (first on line %d)", seen[name])
			continue
		case s.kind == named:
			under = *s.each
		}
		seen[name] = k.Line
		if value := r.read(v, under, here); value != nil {
			out[name] = value
		}
	}
	return out
}

// text reads a whole YAML document.
func (r reader) text(b []byte, s shape) map[string]any {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	err := d.Decode(&doc)
	if err == nil && d.Decode(new(yaml.Node)) != io.EOF {
		err = errors.New("has more than one YAML document: keep one")
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		err = errors.New("is empty: `bench profiles show quick` prints one to start from")
		fallthrough
	case err != nil:
		*r.errs = append(*r.errs, r.syntax(err))
		return nil
	}
	m, _ := r.read(doc.Content[0], s, "").(map[string]any)
	return m
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax gives the YAML package's error the form of ours.
func (r reader) syntax(err error) *Error {
	text := err.Error()
	e := &Error{Where: r.from, Problem: yamlLine.ReplaceAllString(text, "")}
	if m := yamlLine.FindStringSubmatch(text); m != nil && m[1] != "" && r.lines {
		e.Where += ":" + m[1]
	}
	return e
}

// setting reads one value at a path, as if a file held nothing else.
func (r reader) setting(set Setting, s shape) map[string]any {
	value := &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(set.Value)}
	if strings.HasPrefix(value.Value, "[") || strings.HasPrefix(value.Value, "{") {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(value.Value), &doc); err != nil {
			e := r.syntax(err)
			e.Path = set.Path
			*r.errs = append(*r.errs, e)
			return nil
		}
		value = doc.Content[0]
	}
	names := strings.Split(set.Path, ".")
	for i := len(names) - 1; i >= 0; i-- {
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: names[i]}
		value = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{name, value}}
	}
	m, _ := r.read(value, s, "").(map[string]any)
	return m
}
