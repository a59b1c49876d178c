package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"plimsoll/profiles"
)

// Encode gives what determines the trials and their order, as one line of
// JSON: the profile (less what the user named), the seed, the cells, and for
// each round the order as positions in cells.
func (p Plan) Encode() ([]byte, error) {
	position := map[Key]int{}
	for i, c := range p.Cells {
		position[c.Key] = i
	}
	cells := slices.Clone(p.Cells)
	for i := range cells {
		cells[i].Estimate = 0 // a better guess at times is no other plan
	}
	order := make([][]int, p.Profile.Rounds)
	for _, t := range p.Trials {
		order[t.Round] = append(order[t.Round], position[t.Key])
	}
	p.Profile.Named = nil
	b, err := json.Marshal(struct {
		Profile profiles.Profile `json:"profile"`
		Seed    uint64           `json:"seed"`
		Cells   []Cell           `json:"cells"`
		Order   [][]int          `json:"order"`
	}{p.Profile, p.Seed, cells, order})
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b, nil
}

// Hash is the SHA-256 of [Plan.Encode], in hexadecimal.
func (p Plan) Hash() (string, error) {
	b, err := p.Encode()
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}

// Levels says what the names of the profile's limits and workloads stand for;
// what runtimes, storage and directories are is for the executor to add.
func (p Plan) Levels() Levels {
	out := Levels{"limits": {}, "workload": {}}
	for name, l := range p.Profile.Limits {
		out["limits"][name] = l.Settings()
	}
	for _, name := range p.Profile.Factors.Workload {
		w, _ := profiles.FindWorkload(name)
		out["workload"][name] = map[string]string{}
		for _, param := range w.Params {
			out["workload"][name][param.Name] = param.Default
		}
	}
	return out
}
