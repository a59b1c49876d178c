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
	if e.run == nil && os.Getuid() != 0 && strings.Contains(e.facts["cgroup.layout"], "v1") {
		t.Skip("systemd gives no v1 controller to an ordinary user: ", e.noGroups)
	}
	if e.run == nil {
		t.Fatal(e.noGroups)
	}
	group := e.run.Bare()
	if limits, err := e.limits(e.profile.Limits["small"], e.dirs[0]); err != nil {
		t.Fatal(err)
	} else if e.canLimit(e.profile.Limits["small"]) == nil {
		if group, err = e.run.Create("limited", limits); err != nil {
			t.Fatal(err)
		}
		defer group.Remove(t.Context())
	} else if os.Getuid() == 0 {
		t.Error(e.canLimit(e.profile.Limits["small"]))
	}
	// That of another test's run, which this process has not left, will do.
	inScope := regexp.MustCompile(`/` + cgroup.Prefix + `test-[0-9-]+\.scope/` + cgroup.Prefix)
	for _, dir := range group.Paths() {
		if !inScope.MatchString(dir) && !strings.HasPrefix(dir, "/sys/fs/cgroup/freezer/") { // which systemd leaves to others
			t.Errorf("%s is in no scope", dir)
		}
	}
	if !strings.HasPrefix(fact, "in ") {
		t.Errorf("the journal says %q", fact)
	}
	runAll(t, e)
}
