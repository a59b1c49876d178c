package runner

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"plimsoll/profiles"
)

// launchCosts are what a trial costs beside its work: provisioning, start,
// exit and removal. Orders of magnitude of small machines, for planning only.
var launchCosts = map[string]time.Duration{
	"bare":    2 * time.Millisecond,
	"isolate": 5 * time.Millisecond,
	"bwrap":   10 * time.Millisecond,
	"crun":    35 * time.Millisecond,
	"runc":    60 * time.Millisecond,
}

const (
	otherLaunch = 60 * time.Millisecond  // OCI runtimes of the user's own
	programCost = 10 * time.Millisecond  // starting the workload program
	coldCost    = 200 * time.Millisecond // dropping and refilling caches

	touchRate = 1 << 30 // B/s: first touch of memory, a page fault every 4 KiB
	copyRate  = 5 << 30 // B/s: one pass over memory
	fileRate  = 512 << 20
	flopRate  = 4e9
	launchers = 2 // workers that start a fleet
)

// measurements of the workloads' parts: how many of duration each makes.
var measurements = map[string]map[string]int{
	"cpu":    {"linpack": 1, "integer": 1, "syscall": 1, "switch": 1},
	"memory": {"stream": 4, "latency": 1, "random": 1, "fault": 1},
	"io":     {"seq_read": 1, "seq_write": 1, "rand_read": 1, "rand_write": 1, "fsync": 1, "metadata": 1},
}

// estimate is the time that a trial of the cell is thought to take, the gap
// before it not included. It errs on the long side.
func estimate(k Key) time.Duration {
	if k.OnStorage() {
		return workOnStorage(k)
	}
	launch, ok := launchCosts[k.Runtime]
	if !ok {
		launch = otherLaunch
	}
	fleet := time.Duration(max(1, k.Fleet))
	total := (work(k) + launch) * (fleet + launchers - 1) / launchers
	switch k.Workload {
	case "startup":
		total += duration(k, "hold")
	case "lifecycle":
		total += 6 * launch * fleet // each step takes about a start, one after another
	default:
		total += programCost * fleet
	}
	if k.Cache == "cold" {
		total += coldCost
	}
	return total
}

// work is what one instance's measurements take, with their preparations.
func work(k Key) time.Duration {
	count, has := 0, map[string]bool{}
	for part, n := range measurements[k.Workload] {
		if p := k.Param("part"); p == "all" || p == part {
			count += n
			has[part] = true
		}
	}
	total := time.Duration(count) * duration(k, "duration")
	size := sizeOf(k, "size")
	switch {
	case k.Workload == "cpu" && has["linpack"]:
		n, _ := strconv.ParseFloat(k.Param("n"), 64)
		total += seconds(2 * n * n * n / 3 / flopRate) // one solve at the least
	case k.Workload == "memory":
		total += seconds(size / copyRate) // no measurement is shorter than a pass
		if has["stream"] {
			total += seconds(3*size/touchRate + 8*size/copyRate)
		}
		if has["latency"] || has["random"] || has["fault"] {
			total += seconds(size / touchRate)
		}
	case k.Workload == "io":
		total += seconds(size / fileRate)
	}
	return total
}

// What things take on a slow backend, for planning only.
const (
	poolCost   = 500 * time.Millisecond // mkfs and its like
	cloneCost  = 30 * time.Millisecond
	changeCost = time.Millisecond       // of one file, written back
	walkCost   = 20 * time.Microsecond  // to look at one file
	makeCost   = 100 * time.Microsecond // to make one file
)

// workOnStorage is what a trial of a workload on storage takes, once its
// storage has been built.
func workOnStorage(k Key) time.Duration {
	count := func(name string) time.Duration {
		n, _ := strconv.Atoi(k.Param(name))
		return time.Duration(n)
	}
	image := seconds(sizeOf(k, "size")/fileRate) + count("files")*makeCost
	clone := cloneCost
	if k.Storage == profiles.PlainCopy {
		clone += image
	}
	switch k.Workload {
	case "import":
		return poolCost + image
	case "provision":
		return count("clones") * clone
	case "page_cache":
		return count("clones") * (clone + seconds(2*sizeOf(k, "file")/fileRate))
	case "large_change":
		return 2*clone + seconds(4*sizeOf(k, "file")/fileRate)
	}
	return clone + count("changes")*changeCost + count("files")*walkCost
}

// A pool is what a storage is built as when a trial first needs it, with an
// image; later trials find it there.
type pool struct{ host, dir, storage, image string }

// poolOf gives the pool that trials of a cell share. None is shared by those
// that build one of their own each time, and by those on a root that is a mere
// mount.
func poolOf(k Key) (_ pool, shared bool) {
	k = k.WithDefaults()
	p := pool{k.Host, k.Dir, k.Storage, "containers"}
	switch {
	case k.Workload == "import", k.once():
		return pool{}, false
	case !k.OnStorage():
		return p, k.Storage != "host" && k.Storage != "bind" && k.Storage != "overlay"
	case k.Param("file") != "":
		p.image = "file"
	default:
		p.image = k.Param("layers") + " " + k.Param("files") + " " + k.Param("size")
	}
	return p, true
}

// build is the time that making the pool of a cell is thought to take.
func build(k Key) time.Duration {
	count, _ := strconv.Atoi(k.Param("files"))
	return poolCost + seconds((sizeOf(k, "size")+2*sizeOf(k, "file"))/fileRate) + time.Duration(count)*makeCost
}

func seconds(s float64) time.Duration { return time.Duration(min(s, 1e9) * 1e9) }

// duration and sizeOf read a parameter, 0 where the workload has none.
func duration(k Key, name string) time.Duration {
	d, _ := time.ParseDuration(k.Param(name))
	return d
}

func sizeOf(k Key, name string) float64 {
	n, _ := profiles.ParseBytes(k.Param(name))
	return float64(n)
}

// BudgetError refuses a plan that is estimated to take longer than its
// profile's budget. Its text says what takes the time and what to cut.
type BudgetError struct {
	Estimate, Budget time.Duration
	advice           string
}

func (e *BudgetError) Error() string { return e.advice }

func (p *Plan) overBudget(trials int) *BudgetError {
	rounds := p.Profile.Rounds
	fit := int(p.Profile.Budget / max(1, p.Estimate/time.Duration(rounds)))
	advice := fmt.Sprintf("lower rounds from %d to %d", rounds, fit)
	if fit == 0 {
		advice = fmt.Sprintf("cut levels (one round alone takes %s)", rough(p.Estimate/time.Duration(rounds)))
	}
	return &BudgetError{p.Estimate, p.Profile.Budget, fmt.Sprintf(
		"plan %s: %d trials take about %s, and the budget is %s (%s): %s, or raise the budget (--set budget=%s)",
		p.Profile.Name, trials, rough(p.Estimate), p.Profile.Budget, strings.Join(p.dearest(3), ", "), advice, rough(p.Estimate*6/5))}
}

// dearest names the workloads and runtimes that take most of the time.
func (p *Plan) dearest(n int) []string {
	type share struct {
		name string
		time time.Duration
	}
	var shares []share
	for _, c := range p.Cells {
		name := c.Key.Workload + "/" + c.Key.Runtime
		i := slices.IndexFunc(shares, func(s share) bool { return s.name == name })
		if i < 0 {
			i, shares = len(shares), append(shares, share{name: name})
		}
		shares[i].time += c.Estimate * time.Duration(c.Repeats*p.Profile.Rounds)
	}
	slices.SortStableFunc(shares, func(a, b share) int { return cmp.Compare(b.time, a.time) })
	var out []string
	for _, s := range shares[:min(n, len(shares))] {
		out = append(out, s.name+" "+rough(s.time))
	}
	return out
}

// rough rounds a time to what an estimate can bear.
func rough(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
