package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"plimsoll/profiles"
	"plimsoll/runner"
)

// Storage holds what the storages of a host cost against what is said of
// them, and which to choose.
type Storage struct {
	Claims    []Claim    `json:"claims"`
	Drawbacks []Drawback `json:"drawbacks"`
	Uses      []Use      `json:"uses,omitempty"`
	Image     string     `json:"image,omitempty"` // what was provisioned, changed and diffed
}

// Claim is a row of the table: what is claimed, kind by kind, and what each
// storage was found to be.
type Claim struct {
	Row    string      `json:"row"`
	Rule   string      `json:"rule"` // how a ratio becomes a word
	Metric string      `json:"metric"`
	Unit   string      `json:"unit"`
	Kinds  []KindClaim `json:"kinds"`
}

// KindClaim is a field of the table.
type KindClaim struct {
	Kind     string    `json:"kind"`
	Claimed  string    `json:"claimed"`
	Findings []Finding `json:"findings"` // none: no storage of the kind was measured
	Verdict  string    `json:"verdict"`  // agrees, in part, better than said, worse than said, disagrees (some better, some worse), not measured
}

// Finding is one storage's figure.
type Finding struct {
	Storage    string  `json:"storage"`
	Value      float64 `json:"value"`
	Ratio      float64 `json:"ratio"` // to the plain copy's figure; 0 is a figure of 0
	Word       string  `json:"word"`
	Borderline string  `json:"borderline,omitempty"` // the other word that the ratio's interval reaches
}

// Drawback is a field of the table's last row.
type Drawback struct {
	Kind    string `json:"kind"`
	Claimed string `json:"claimed"`
	Found   string `json:"found"`
	Verdict string `json:"verdict"`
}

// Use says what to choose for something that a host is for.
type Use struct {
	Name   string   `json:"name"`
	Choose []string `json:"choose"` // the best first, then those as good
	Why    string   `json:"why"`
}

// What a field's findings say of its claim.
const (
	agrees      = "agrees"
	inPart      = "in part"
	betterThan  = "better than said"
	worseThan   = "worse than said"
	disagrees   = "disagrees"
	notMeasured = "not measured"
)

func (w Workload) onStorage() bool { return runner.Key{Workload: w.Name}.OnStorage() }

// who a workload's rows are about.
func (w Workload) who() string {
	if w.onStorage() {
		return "clones"
	}
	return "containers"
}

// newStorage is nil for a run without workloads on storage.
func newStorage(run Run) *Storage {
	if !slices.ContainsFunc(run.Workloads, Workload.onStorage) {
		return nil
	}
	s := &Storage{Image: imageText(run)}
	for _, c := range claims {
		s.Claims = append(s.Claims, c.judge(run))
	}
	for _, kind := range kinds {
		s.Drawbacks = append(s.Drawbacks, drawback(run, kind))
	}
	for _, u := range uses {
		if found, ok := u.choose(run); ok {
			s.Uses = append(s.Uses, found)
		}
	}
	return s
}

// kinds are the table's columns.
var kinds = []string{"union", "snapshot", "block"}

// imageText says what image the table is about: that of the row for
// provisioning.
func imageText(run Run) string {
	for name, of := range run.Levels["image"] { // the user's, of which there is one
		return fmt.Sprintf("The image is %s: %s files, %s bytes, in %s layers", printable(name), of["files"], of["bytes"], of["layers"])
	}
	plain, ok := run.metric(figure{"provision", "provision"}).plainest(profiles.PlainCopy)
	if !ok {
		return ""
	}
	return fmt.Sprintf("The image is a synthetic one: %s files, %s, in %s layers", plain.Key.Param("files"), plain.Key.Param("size"), plain.Key.Param("layers"))
}

// judge holds a claim against the run's figures.
func (c claim) judge(run Run) Claim {
	m := run.metric(c.figure)
	out := Claim{Row: c.row, Rule: c.rule(), Metric: c.figure.metric, Unit: m.Unit}
	plain, _ := m.plainest(profiles.PlainCopy)
	for _, kind := range kinds {
		k := KindClaim{Kind: kind, Claimed: c.says[kind]}
		for _, b := range profiles.Backends {
			row, ok := m.plainest(b.Name)
			if b.Kind != kind || !ok || plain.Summary.Median <= 0 {
				continue
			}
			f := Finding{Storage: b.Name, Value: row.Summary.Median, Ratio: row.Summary.Median / plain.Summary.Median}
			f.Word = c.word(f.Ratio)
			if cmp := row.Comparison; cmp != nil && cmp.Ratio.Value > 0 {
				f.Ratio = cmp.Ratio.Value
				f.Word = c.word(f.Ratio)
				if i := cmp.Interval; i != nil {
					for _, end := range []float64{i.Lo, i.Hi} {
						if w := c.word(end); w != f.Word {
							f.Borderline = w
						}
					}
				}
			}
			k.Findings = append(k.Findings, f)
		}
		k.Verdict = c.verdict(k)
		out.Kinds = append(out.Kinds, k)
	}
	return out
}

func (c claim) verdict(k KindClaim) string {
	rank := func(word string) int {
		return slices.IndexFunc(c.scale, func(w bound) bool { return w.word == word })
	}
	right, better, worse := 0, 0, 0
	for _, f := range k.Findings {
		switch d := rank(f.Word) - rank(k.Claimed); {
		case d < 0:
			better++
		case d > 0:
			worse++
		default:
			right++
		}
	}
	switch len(k.Findings) {
	case 0:
		return notMeasured
	case right:
		return agrees
	case better:
		return betterThan
	case worse:
		return worseThan
	}
	if right > 0 {
		return inPart
	}
	return disagrees
}

func (c claim) word(ratio float64) string {
	for _, w := range c.scale {
		if w.most == 0 || ratio <= w.most {
			return w.word
		}
	}
	return ""
}

// rule writes the scale: "superfast up to 1/100 of copying the image, ...".
func (c claim) rule() string {
	var parts []string
	for _, w := range c.scale {
		reach := "above that"
		switch {
		case w.most > 0 && w.most < 1:
			reach = fmt.Sprintf("up to 1/%g of", math.Round(1/w.most))
		case w.most > 0:
			reach = fmt.Sprintf("up to %g×", w.most)
		}
		if len(parts) == 0 {
			reach += " " + c.against
		}
		parts = append(parts, w.word+" "+strings.TrimSuffix(reach, " of"))
	}
	return strings.Join(parts, ", ")
}

// metric finds a metric of the run; one without rows where it was not measured.
func (run Run) metric(f figure) Metric {
	for _, w := range run.Workloads {
		for _, m := range w.Metrics {
			if w.Name == f.workload && m.Name == f.metric {
				return m
			}
		}
	}
	return Metric{Name: f.metric}
}

// plainest finds the row of a storage with the fewest levels that are not the
// defaults: where a parameter was varied, the one that is left as it is, or
// else the largest.
func (m Metric) plainest(storage string) (Row, bool) {
	var found *Row
	for i, row := range m.Rows {
		if row.Key.Storage == storage && row.Role != Control && (found == nil || len(levels(row.Key)) <= len(levels(found.Key))) {
			found = &m.Rows[i]
		}
	}
	if found == nil {
		return Row{}, false
	}
	return *found, true
}

// drawback answers what the table holds against a kind.
func drawback(run Run, kind string) Drawback {
	d := Drawback{Kind: kind, Claimed: drawbacks[kind], Verdict: notMeasured}
	switch kind {
	case "union":
		d.quirks(run)
	case "snapshot":
		d.mainline(run)
	case "block":
		d.disk(run)
	}
	return d
}

// quirks holds the union storages' failures against the others'.
func (d *Drawback) quirks(run Run) {
	failed := map[string]int{}
	seen := map[string]bool{}
	total := 0
	for _, w := range run.Workloads {
		total = max(total, len(w.Quirks))
		for _, q := range w.Quirks {
			for storage, holds := range q.Holds {
				seen[storage] = true
				if !holds {
					failed[storage]++
				}
			}
		}
	}
	var parts []string
	most := map[string]int{}
	for _, b := range profiles.Backends {
		if !seen[b.Name] {
			continue
		}
		most[b.Kind] = max(most[b.Kind], failed[b.Name])
		if b.Kind == "union" {
			parts = append(parts, fmt.Sprintf("%s %d", b.Name, failed[b.Name]))
		}
	}
	if len(parts) == 0 {
		return
	}
	d.Found = fmt.Sprintf("of %d things that programs take for granted, these fail: %s; of the other kinds at most %d",
		total, strings.Join(parts, ", "), max(most["snapshot"], most["block"], most["copy"]))
	d.Verdict = disagrees
	if most["union"] > max(most["snapshot"], most["block"]) {
		d.Verdict = agrees
	}
}

// mainline tells how this host has ZFS. A cell of it may be skipped where it
// runs, too.
func (d *Drawback) mainline(run Run) {
	if _, ok := run.metric(figure{"provision", "provision"}).plainest("zfs"); ok {
		d.Found, d.Verdict = "it runs on this host; its module does not come with Linux", agrees
		if version := run.Levels["storage"]["zfs"]["version"]; version != "" {
			d.Found = "it runs on this host (" + version + "); what runs it does not come with Linux"
		}
		return
	}
	for _, s := range run.Skips {
		if s.Key.Storage == "zfs" {
			d.Found, d.Verdict = "not on this host: "+s.Reason, agrees
			return
		}
	}
}

// disk holds what a clone takes on a block device against the snapshots' most.
func (d *Drawback) disk(run Run) {
	m := run.metric(figure{"provision", "disk_per_clone"})
	most := map[string]float64{}
	var parts []string
	for _, b := range profiles.Backends {
		row, ok := m.plainest(b.Name)
		if !ok {
			continue
		}
		v := max(row.Summary.Median, least["B"])
		most[b.Kind] = max(most[b.Kind], v)
		if b.Kind == "block" || b.Kind == "snapshot" {
			parts = append(parts, b.Name+" "+quantityText(row.Summary.Median, m.Unit))
		}
	}
	if most["block"] == 0 {
		return
	}
	d.Found = "a clone takes, before anything is written to it: " + strings.Join(parts, ", ")
	switch {
	case most["snapshot"] == 0:
	case most["block"] > 2*most["snapshot"]:
		d.Verdict = agrees
	default:
		d.Verdict = disagrees
	}
}

// choose ranks the storages that have all figures of the use by the geometric
// mean of their costs.
func (u use) choose(run Run) (Use, bool) {
	type candidate struct {
		name string
		cost float64 // logarithm
		why  []string
	}
	var all []candidate
	for _, b := range profiles.Backends {
		if u.keeps && run.Levels["storage"][b.Name]["forgets"] != "" {
			continue
		}
		c := candidate{name: b.Name}
		for _, f := range u.figures {
			m := run.metric(f)
			row, ok := m.plainest(b.Name)
			if !ok {
				break
			}
			value := max(row.Summary.Median, least[m.Unit])
			if m.Better == runner.Higher {
				value = 1 / value
			}
			c.cost += math.Log(value) / float64(len(u.figures))
			c.why = append(c.why, strings.ReplaceAll(f.metric, "_", " ")+" "+quantityText(row.Summary.Median, m.Unit))
		}
		if len(c.why) == len(u.figures) {
			all = append(all, c)
		}
	}
	if len(all) < 2 {
		return Use{}, false
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.cost, b.cost) })
	out := Use{Name: u.name, Why: all[0].name + ": " + strings.Join(all[0].why, ", ")}
	next := len(all)
	for i, c := range all {
		if c.cost > all[0].cost+math.Log(asGood) {
			next = i
			break
		}
		out.Choose = append(out.Choose, c.name)
	}
	if next < len(all) {
		c := all[next]
		out.Why += fmt.Sprintf("; next, at %s the cost, %s: %s", ratioText(math.Exp(c.cost-all[0].cost)), c.name, strings.Join(c.why, ", "))
	}
	return out, true
}

// headline counts the table's fields.
func (s *Storage) headline() string {
	count := map[string]int{}
	fields := 0
	add := func(verdict string) {
		if count[verdict]++; verdict != notMeasured {
			fields++
		}
	}
	for _, c := range s.Claims {
		for _, k := range c.Kinds {
			add(k.Verdict)
		}
	}
	for _, d := range s.Drawbacks {
		add(d.Verdict)
	}
	return fmt.Sprintf("Of what is said of union, snapshot and block storage, %s could be tried here: %d agree with this host's figures, %d in part; %d better here than said, %d worse, %d both.",
		counted(fields, "claim"), count[agrees], count[inPart], count[betterThan], count[worseThan], count[disagrees])
}
