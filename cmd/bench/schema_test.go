package main

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

// TestJournalSchema: the fields of a real journal are those of the schema.
func TestJournalSchema(t *testing.T) {
	kinds := map[string]object{}
	for _, s := range journalSchema()["oneOf"].([]any) {
		kinds[s.(object)["title"].(string)] = s.(object)
	}
	f, err := os.Open("testdata/journals/monday/samples.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checked := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line object
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		kind := line["kind"].(string)
		checked[kind] = true
		conforms(t, kind, kinds[kind], line)
	}
	if len(checked) < 6 {
		t.Errorf("only %d kinds of record are in the journal", len(checked))
	}
}

// conforms checks what our schemas use of JSON Schema.
func conforms(t *testing.T, at string, schema object, v any) {
	t.Helper()
	is := map[string]bool{}
	switch v := v.(type) {
	case object:
		is["object"] = true
		properties, _ := schema["properties"].(object)
		required, _ := schema["required"].([]string)
		for _, name := range required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s lacks %s", at, name)
			}
		}
		for name, value := range v {
			if of, ok := properties[name].(object); ok {
				conforms(t, at+"."+name, of, value)
			} else if of, ok := schema["additionalProperties"].(object); ok {
				conforms(t, at+"."+name, of, value)
			} else if properties != nil {
				t.Errorf("%s.%s is not in the schema", at, name)
			}
		}
	case []any:
		is["array"] = true
		for _, item := range v {
			conforms(t, at+"[]", schema["items"].(object), item)
		}
	case string:
		is["string"] = true
	case bool:
		is["boolean"] = true
	case float64:
		is["number"], is["integer"] = true, v == float64(int64(v))
	}
	if of, ok := schema["type"].(string); ok && !is[of] {
		t.Errorf("%s is %v, not of type %s", at, v, of)
	}
}
