package local

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"plimsoll/isolate/cgroup"
)

// TestRunUnderSystemd: where systemd manages the cgroups, the run's are in a
// scope that was asked for, and the journal says so; where it does not, why not.
func TestRunUnderSystemd(t *testing.T) {
	e := open(t, profile(t, "rounds: 1\nfactors: {workload: [startup], runtime: [isolate], limits: [none, small]}\nlimits: {small: {memory: 64MiB, pids: 50, cpu: 0.5}}\nworkloads: {startup: {repeats: 1}}\n"))
	fact := e.facts["cgroup.run"]
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		if !strings.Contains(fact, "systemd does not manage this host") {
			t.Errorf("without systemd the journal says %q", fact)
		}
		need(t, "systemd", false)
	}
	if e.run == nil {
		t.Fatal(e.noGroups)
	}
	// That of another test's run, which this process has not left, will do.
	inScope := regexp.MustCompile(`/` + cgroup.Prefix + `test-[0-9-]+\.scope/` + cgroup.Prefix)
	if dir := e.run.Bare().Paths()[0]; !inScope.MatchString(dir) || !strings.HasPrefix(fact, "in ") {
		t.Errorf("the run's group is %s, and the journal says %q", dir, fact)
	}
	runAll(t, e)
}
