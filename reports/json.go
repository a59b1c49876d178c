package reports

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the report as one JSON object, indented. Its fields are those
// of [Report], values in SI base units. Numbers are written in full.
func JSON(w io.Writer, r Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}
