package runner

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"plimsoll/profiles"
)

// Plan is the ordered list of trials of one run. The same profile, hosts and
// seed give the same plan, byte for byte (see [Plan.Encode]).
type Plan struct {
	Profile  profiles.Profile `json:"profile"`
	Seed     uint64           `json:"seed"`
	Cells    []Cell           `json:"cells"` // in the order of the profile's factors
	Skips    []Skip           `json:"skips"` // cells that a host cannot run
	Trials   []Trial          `json:"trials"`
	Estimate time.Duration    `json:"estimate"` // of the whole run, in nanoseconds
}

// Cell is one combination of levels in a plan.
type Cell struct {
	Key     Key  `json:"key"`
	Repeats int  `json:"repeats"` // trials in each round
	Role    Role `json:"role,omitempty"`

	// Estimate is the time that one trial is thought to take, the quiet time
	// before it included, in nanoseconds.
	Estimate time.Duration `json:"estimate,omitempty"`
}

// Role says why a cell is in the plan.
type Role string

const (
	Asked         Role = ""         // the profile's factors name it
	AddedBaseline Role = "baseline" // no one asked, but another cell is compared with it
	Control       Role = "control"  // the A/A control of a baseline
)

// Host is a host that a plan is for, and what it cannot do.
type Host struct {
	Name string

	// Dirs gives each of the profile's work directories the name of its level,
	// by custom its file system: {"": "ext4", "/data": "xfs"}. A directory
	// that is not here is called by its path.
	Dirs map[string]string

	Lacks []Lack // the first that matches a cell is why it is skipped
}

// Lack is something that a host cannot do: the cells that match Where are
// skipped. Where names one level, {Runtime: ["crun"]}, or a combination that
// cannot be, {Runtime: ["bwrap"], Limits: ["small"]}; its Dir is the level's
// name, not its path.
type Lack struct {
	Where  profiles.Exclusion
	Reason string // "crun: not found in PATH"
	Fix    string // "apt-get install crun"
}

// mostTrials is what fits into memory and into a reader's patience.
const mostTrials = 10_000_000

// NewPlan lays out the trials of a profile on hosts: every combination of
// levels and workload parameters, less the exclusions and what a host lacks,
// with the baseline of each cell and a control of each baseline. Each round
// holds every cell as often as its workload's repeats, in an order drawn from
// the seed (a randomised complete block).
//
// Each of require is a cell that must run: "startup/runc limits=small", where
// what is left out may be any level. One that matches no cell is an error;
// one that is skipped is marked as named, as is one skipped for levels that
// are all in the profile's Named.
//
// A plan that is estimated to take longer than the profile's budget comes
// with a [*BudgetError] and without its trials.
func NewPlan(p profiles.Profile, hosts []Host, seed uint64, require []string) (Plan, error) {
	if p.Rounds < 1 {
		return Plan{}, fmt.Errorf("profile %s: rounds is %d, and must be at least 1", p.Name, p.Rounds)
	}
	plan := Plan{Profile: p, Seed: seed, Skips: []Skip{}}
	for _, h := range hosts {
		keys, err := combinations(p, h)
		if err != nil {
			return Plan{}, err
		}
		plan.add(keys, h)
	}
	if len(plan.Cells)+len(plan.Skips) == 0 {
		return Plan{}, fmt.Errorf("profile %s leaves no cell: every combination is excluded, or there is no host", p.Name)
	}
	if err := plan.require(require); err != nil {
		return Plan{}, err
	}
	trials := 0
	for _, c := range plan.Cells {
		// In floating point first: the product may be more than a Duration holds.
		n := c.Repeats * p.Rounds
		if c.Key.once() {
			n = 1
		}
		trials += n
		if over := float64(plan.Estimate) + float64(n)*float64(c.Estimate); over > float64(1<<62) {
			return plan, fmt.Errorf("profile %s would take over a century: lower rounds, repeats or durations", p.Name)
		}
		plan.Estimate += time.Duration(n) * c.Estimate
	}
	for _, cost := range plan.pools() {
		plan.Estimate += cost
	}
	if plan.Estimate > p.Budget {
		return plan, plan.overBudget(trials)
	}
	if trials > mostTrials {
		return Plan{}, fmt.Errorf("profile %s makes %d trials, more than %d: lower rounds or repeats", p.Name, trials, mostTrials)
	}
	plan.Trials = plan.shuffled()
	return plan, nil
}

// add takes in the combinations of one host: those that it can run become
// cells, each baseline before its first cell and with a control, and those
// that it cannot become skips.
func (p *Plan) add(keys []Key, h Host) {
	asked := map[Key]bool{}
	for _, k := range keys {
		asked[k] = true
	}
	done := map[Key]bool{}
	take := func(k Key) {
		if done[k] {
			return
		}
		done[k] = true
		if lack, ok := h.lacks(k); ok {
			p.Skips = append(p.Skips, Skip{
				Kind: "skip", Key: k, Reason: lack.Reason, Fix: lack.Fix, Named: named(p.Profile.Named, lack.Where, k, h),
			})
			return
		}
		role := Asked
		if !asked[k] {
			role = AddedBaseline
		}
		p.cell(k, role)
		if k.IsBaseline() && !k.once() {
			p.cell(k.Control(), Control)
		}
	}
	for _, k := range keys {
		if _, lacks := h.lacks(k); !lacks {
			take(k.Baseline())
		}
		take(k)
	}
}

func (p *Plan) cell(k Key, role Role) {
	repeats := max(1, p.Profile.Workloads[k.Workload].Repeats)
	p.Cells = append(p.Cells, Cell{Key: k, Repeats: repeats, Role: role, Estimate: p.Profile.Gap + estimate(k)})
}

func (h Host) lacks(k Key) (Lack, bool) {
	for _, l := range h.Lacks {
		if matches(l.Where, k) {
			return l, true
		}
	}
	return Lack{}, false
}

// named reports whether the user named every level that is the cause.
func named(levels map[string][]string, cause profiles.Exclusion, k Key, h Host) bool {
	var dirs []string
	for _, path := range levels["dir"] {
		dirs = append(dirs, h.dir(path))
	}
	for _, c := range []struct {
		isCause bool
		levels  []string
		level   string
	}{
		{cause.Workload != nil, levels["workload"], k.Workload},
		{cause.Runtime != nil, levels["runtime"], k.Runtime},
		{cause.Storage != nil, levels["storage"], k.Storage},
		{cause.Dir != nil, dirs, k.Dir},
		{cause.Limits != nil, levels["limits"], k.Limits},
		{cause.Network != nil, levels["network"], k.Network},
		{cause.Fleet != nil, levels["fleet"], strconv.Itoa(k.Fleet)},
		{cause.Cache != nil, levels["cache"], k.Cache},
		{cause.Variant != nil, levels["variant"], k.Variant},
	} {
		if c.isCause && !slices.Contains(c.levels, c.level) {
			return false
		}
	}
	for name := range cause.Params {
		if !slices.Contains(levels["workloads."+k.Workload+".params."+name], k.Param(name)) {
			return false
		}
	}
	return true
}

// pools gives the time that each pool of the plan is thought to take: as long as
// the largest image that one of its cells may have in it.
func (p *Plan) pools() map[pool]time.Duration {
	costs := map[pool]time.Duration{}
	for _, c := range p.Cells {
		if of, shared := poolOf(c.Key); shared {
			costs[of] = max(costs[of], build(c.Key))
		}
	}
	return costs
}

// shuffled lists the trials round by round.
func (p *Plan) shuffled() []Trial {
	source := rand.NewPCG(p.Seed, 0)
	var trials []Trial
	for round := range p.Profile.Rounds {
		first := len(trials)
		for _, c := range p.Cells {
			repeats := c.Repeats
			if c.Key.once() {
				repeats = max(0, 1-round)
			}
			for range repeats {
				trials = append(trials, Trial{Round: round, Key: c.Key})
			}
		}
		shuffle(source, trials[first:])
	}
	for i := range trials {
		trials[i].ID = i
	}
	return trials
}

// shuffle is Fisher and Yates's. It is written out because rand.Shuffle does
// not promise to stay as it is, and plans must; PCG's output is fixed.
func shuffle(source *rand.PCG, trials []Trial) {
	for i := len(trials) - 1; i > 0; i-- {
		// The high word of a product picks from 0 to i. Its bias, i in 2^64,
		// is far below what any number of rounds could show.
		j, _ := bits.Mul64(source.Uint64(), uint64(i+1))
		trials[i], trials[j] = trials[j], trials[i]
	}
}
