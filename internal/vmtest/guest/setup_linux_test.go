package guest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHierarchies(t *testing.T) {
	got := hierarchies(`#subsys_name	hierarchy	num_cgroups	enabled
cpuset	0	53	1
cpu	0	53	1
cpuacct	0	53	1
memory	0	53	0
net_cls	0	53	1
pids	0	53	1
net_prio	0	53	1
`)
	want := []string{"cpuset", "cpu,cpuacct", "net_cls,net_prio", "pids"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
