package render

import (
	"encoding/json"
	"io"

	"plimsoll/hostcheck"
)

// SARIF 2.1.0 (OASIS), of which code-scanning services read these parts.

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool    sarifTool     `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name  string      `json:"name"`
	Rules []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string    `json:"id"`
	Short sarifText `json:"shortDescription"`
	Full  sarifText `json:"fullDescription"`
	Help  sarifText `json:"help"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	RuleIndex int             `json:"ruleIndex"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifLocation struct {
	Physical sarifPhysical  `json:"physicalLocation"`
	Logical  []sarifLogical `json:"logicalLocations"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
}

// SARIF writes what is not as it should be: error for what fails, warning,
// and note for what cannot be known.
func SARIF(w io.Writer, r *hostcheck.Report, _ Style) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "checkconfig"}}, Results: []sarifResult{}}
	levels := map[hostcheck.Verdict]string{hostcheck.Fail: "error", hostcheck.Warn: "warning", hostcheck.Unknown: "note"}
	for _, x := range r.Results {
		level := levels[x.Verdict]
		if level == "" {
			continue
		}
		if level == "warning" && x.Severity == hostcheck.Optional {
			level = "note"
		}
		rules := &run.Tool.Driver.Rules
		*rules = append(*rules, sarifRule{x.ID, sarifText{or(x.Title, x.ID)}, sarifText{or(x.Why, or(x.Title, x.ID))}, sarifText{or(x.Fix, "none")}})
		run.Results = append(run.Results, sarifResult{
			RuleID: x.ID, RuleIndex: len(*rules) - 1, Level: level,
			Message: sarifText{or(x.Title, x.ID) + suffix(x.Detail) + suffix(x.Explains)},
			Locations: []sarifLocation{{
				Physical: sarifPhysical{sarifArtifact{place(r, x)}},
				Logical:  []sarifLogical{{x.Group + "/" + x.ID}},
			}},
		})
	}
	if run.Tool.Driver.Rules == nil {
		run.Tool.Driver.Rules = []sarifRule{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// place is the file that a result is about.
func place(r *hostcheck.Report, x hostcheck.Result) string {
	if isOption(x) && r.Config != nil {
		return r.Config.Source
	}
	for _, e := range x.Evidence {
		if len(e.File) > 0 && e.File[0] == '/' {
			return e.File
		}
	}
	return "/proc/sys/kernel/osrelease"
}
