package local

import (
	"os"
	"slices"
	"testing"
)

func TestLifecycle(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors:
  workload: [lifecycle]
  runtime: [bare, isolate, runc, crun, bwrap]
  storage: [bind, overlay]
  fleet: [1, 2]
workloads:
  lifecycle: {repeats: 1, params: {changes: 7}}
`))
	need(t, "root", e.runtimes["isolate"].missing == nil && e.runtimes["isolate"].info.Lifecycle)
	for key, o := range runAll(t, e) {
		want := []string{"start_to_ready", "stop"}
		if key.Runtime != "bare" {
			want = append(want, "exec", "freeze", "thaw", "restart")
		}
		if key.Storage == "overlay" {
			want = append(want, "commit")
		}
		got := metrics(o)
		for _, m := range want {
			if !slices.Contains(got, m) {
				t.Errorf("%s: no %s in %v", key, m, got)
			}
		}
		for _, s := range o.Samples {
			if s.Value <= 0 || s.Value > 20 {
				t.Errorf("%s: %s of %v s", key, s.Metric, s.Value)
			}
		}
		if key.Runtime == "bwrap" {
			t.Errorf("%s ran, and bwrap cannot be entered", key)
		}
	}
}

// TestLifecycleOnBridge restarts a container whose port outlives its end.
func TestLifecycleOnBridge(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors:
  workload: [lifecycle]
  runtime: [isolate, runc, crun]
  network: [bridge]
workloads:
  lifecycle: {repeats: 3}
`))
	need(t, "root", os.Getuid() == 0 && e.runtimes["isolate"].info.Lifecycle)
	restarted := map[string]bool{}
	for key, o := range runAll(t, e) {
		if key.Network == "bridge" && slices.Contains(metrics(o), "restart") {
			restarted[key.Runtime] = true
		}
	}
	for name, u := range e.runtimes {
		if u.missing == nil && u.info.Lifecycle && !restarted[name] {
			t.Errorf("%s: no container on a bridge was restarted", name)
		}
	}
}
