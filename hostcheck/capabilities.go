package hostcheck

import (
	"slices"
	"strings"
)

// capabilityTable answers plain questions by checks. All of the checks of one
// alternative must pass; the best alternative counts.
var capabilityTable = []struct {
	name string
	any  [][]string
}{
	{"limit memory", [][]string{{"cgroup.memory"}}},
	{"limit kernel memory", [][]string{{"cgroup.memory"}}}, // see kernelMemory
	{"limit swap", [][]string{{"cgroup.swap"}}},
	{"limit CPU", [][]string{{"cgroup.cpu"}}},
	{"bind to CPUs", [][]string{{"cgroup.cpuset"}}},
	{"limit disk I/O", [][]string{{"cgroup.io"}}},
	{"limit disk usage", [][]string{{"fs.quota"}}},
	{"limit pids", [][]string{{"cgroup.pids"}}},
	{"confine devices", [][]string{{"cgroup.devices"}}},
	{"freeze", [][]string{{"cgroup.freezer"}}},
	{"checkpoint", [][]string{{"criu.kernel", "criu.program"}}},
	{"live-migrate", [][]string{{"criu.kernel", "criu.program", "ns.time"}}},
	{"run unprivileged", [][]string{{"ns.user"}}},
	{"run system containers", [][]string{{"ns.user", "ns.cgroup", "cgroup.memory", "cgroup.devices"}}},
	{"share one image between users", [][]string{{"sys.idmap"}}},
	{"run virtual machines", [][]string{{"virt.kvm"}}},
}

// capabilitiesOf fills the table from results.
func capabilitiesOf(results []Result, cmdline string) []Capability {
	byID := map[string]Result{}
	for _, r := range results {
		byID[r.ID] = r
	}
	var out []Capability
	for _, row := range capabilityTable {
		best := Capability{Name: row.name, Answer: No, By: "no check of it was made"}
		rank := -1
		for _, all := range row.any {
			answer, by := weakest(all, byID)
			if n := slices.Index([]Answer{NotRelevant, No, CannotTell, Partly, Yes}, answer); n > rank {
				rank, best.Answer, best.By = n, answer, by
			}
		}
		if row.name == "limit kernel memory" && strings.Contains(cmdline, "cgroup.memory=nokmem") {
			best.Answer, best.By = No, "booted with cgroup.memory=nokmem"
		} else if row.name == "limit kernel memory" && best.Answer == Yes {
			// Counted with the rest since Linux 4.5; the limit of its own was withdrawn.
			best.By = "as part of the memory limit; it has none of its own any more"
		}
		out = append(out, best)
	}
	return out
}

// weakest is the answer of the check that fails most of several.
func weakest(ids []string, byID map[string]Result) (Answer, string) {
	answer, by := Yes, ""
	rank := len(answerOrder)
	for _, id := range ids {
		r, ok := byID[id]
		if !ok {
			return CannotTell, id + " was not tried"
		}
		if n := slices.Index(answerOrder, r.Answer); n < rank {
			rank, answer = n, r.Answer
			by = strings.TrimSuffix(id+": "+r.Detail, ": ")
		}
	}
	return answer, by
}

// answerOrder from worst to best.
var answerOrder = []Answer{No, NotRelevant, CannotTell, Partly, Yes}
