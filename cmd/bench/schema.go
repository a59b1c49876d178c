package main

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"plimsoll/profiles"
	"plimsoll/runner"
)

func newSchema(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the schemas of the files that bench writes",
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "journal",
		Short: "Print the JSON Schema of a line of samples.jsonl",
		Long: `Journal prints the JSON Schema (2020-12) of the lines of samples.jsonl. Each line
is one JSON object, whose kind comes first; values are in SI base units. A
trial's samples count once its trial record is there.`,
		Example: `  bench schema journal > journal.schema.json`,
		RunE:    func(*cobra.Command, []string) error { return writeJSON(s.out, journalSchema()) },
	})
	return cmd
}

// records are the kinds of line of a journal.
var records = []struct {
	kind   string
	record any
}{
	{"header", runner.Header{}}, {"skip", runner.Skip{}}, {"calibration", runner.Calibration{}},
	{"sample", runner.Sample{}}, {"trial", runner.TrialRecord{}}, {"failure", runner.Failure{}},
	{"warning", runner.Warning{}}, {"resume", runner.Resume{}}, {"footer", runner.Footer{}},
}

// object is a JSON object.
type object = map[string]any

// journalSchema is made from the very types that are written.
func journalSchema() object {
	var kinds []any
	for _, r := range records {
		s := schemaOf(reflect.TypeOf(r.record))
		s["title"] = r.kind
		s["properties"].(object)["kind"] = object{"const": r.kind}
		kinds = append(kinds, s)
	}
	return object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "a line of samples.jsonl",
		"description": "Values are in SI base units: s, B, B/s, flop/s, op/s, 1. Kinds and fields that are not listed may be added.",
		"oneOf":       kinds,
	}
}

// schemaOf describes how encoding/json writes a type.
func schemaOf(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[profiles.Profile]():
		return object{"type": "object", "description": "the resolved profile: what `bench profiles show NAME --resolved` prints, as JSON"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	}
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) { // of a struct; another kind panics, and the tests see it
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[name] = schemaOf(f.Type)
		if !strings.Contains(options, "omitempty") && f.Type.Kind() != reflect.Pointer {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	return object{"type": "object", "properties": properties, "required": required}
}
