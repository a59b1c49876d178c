package local

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
)

// TestNetworks: isolate makes its link while it starts, and OCI runtimes join
// one that was made for them before.
func TestNetworks(t *testing.T) {
	e := open(t, profile(t, `
rounds: 1
factors: {workload: [startup], runtime: [isolate, runc, crun, bwrap], network: [bridge, nat], storage: [overlay], fleet: [1, 3]}
workloads:
  startup: {repeats: 1}
`))
	need(t, "root", len(e.networks.made()) == 2)
	ran := map[string]int{}
	for key, o := range runAll(t, e) {
		if key.Network == "host" {
			continue // the baseline
		}
		ran[key.Runtime]++
		want := "network_create"
		if key.Runtime == "isolate" {
			want = "phase/network link"
		}
		if !slices.Contains(metrics(o), want) {
			t.Errorf("%s: no %s in %v", key, want, metrics(o))
		}
	}
	for name, u := range e.runtimes {
		want := 0
		if u.missing == nil && u.info.Networks {
			want = 4
		}
		if ran[name] != want {
			t.Errorf("%s: %d cells on a bridge ran, want %d: %v", name, ran[name], want, e.networks.missing)
		}
	}
}

// TestOnBridge looks at the network of containers that run.
func TestOnBridge(t *testing.T) {
	e := open(t, profile(t, "rounds: 1\nfactors: {workload: [startup], runtime: [isolate, runc, crun], network: [bridge]}\n"))
	need(t, "root", len(e.networks.made()) == 1)
	out, err := memfd("stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	image := e.dirs[0].image
	for _, name := range []string{"isolate", "runc", "crun"} {
		t.Run(name, func(t *testing.T) {
			u := e.runtimes[name]
			if u.missing != nil {
				t.Log(u.missing)
			}
			need(t, name, u.missing == nil)
			var i runtimes.Instance
			i.ID, i.Dir, i.Hold, i.Path, i.Args = "net-"+name, t.TempDir(), true, probePath, []string{probe.ModeWait, "0"}
			i.Root.Path, i.Root.ReadOnly, i.Image, i.Network, i.Rung, i.Stdout = image.Dir, true, image.Dir, "bridge", "full", out
			c, err := u.runtime.Create(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(t.Context()); err != nil {
				t.Error(err)
			} else {
				links, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", c.PIDs()[0]))
				if err != nil || !strings.Contains(string(links), "eth0:") || !strings.Contains(string(links), "lo:") {
					t.Errorf("%s: links %s, %v", name, links, err)
				}
				if _, err := c.Stop(t.Context(), time.Second); err != nil {
					t.Error(err)
				}
			}
			if err := c.Remove(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
