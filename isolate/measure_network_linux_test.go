package isolate

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plimsoll/isolate/network"
)

// TestMeasureBridge holds a start on a bridge against one without, plus what
// the same requests take from C. The three alternate, at the same pace.
func TestMeasureBridge(t *testing.T) {
	e, ctx := measuring(t)
	root := image(t)
	y, n := startVethYardstick(t), openNetwork(t, network.Options{})
	none, bridge := sixTrue(t, root), sixTrue(t, root)
	none.Loopback, bridge.Loopback = true, true
	for _, gap := range []time.Duration{2 * time.Millisecond, 50 * time.Millisecond} {
		takes := map[string][]float64{}
		kinds := []string{"none", "bridge", "requests"}
		for i := range 200 {
			for k := range kinds {
				time.Sleep(gap)
				kind := kinds[(i+k)%len(kinds)]
				switch kind {
				case "none":
					takes[kind] = append(takes[kind], startToExit(t, ctx, e, none))
				case "bridge":
					bridge.Network = n.Attach()
					takes[kind] = append(takes[kind], startToExit(t, ctx, e, bridge))
				case "requests":
					takes[kind] = append(takes[kind], y.launch(t, 0, 1))
				}
			}
		}
		p50 := func(kind string) float64 { return median(takes[kind]) * 1e6 }
		t.Logf("gap %v: none %.0f µs, requests from C %.0f µs, bridge %.0f µs, ratio %.3f (wanted: at most 1.25)", gap,
			p50("none"), p50("requests"), p50("bridge"), p50("bridge")/(p50("none")+p50("requests")))
	}
}

func startVethYardstick(t *testing.T) *yardstick {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "veth")
	cc(t, "-O2", "-o", bin, "network/testdata/veth.c")
	return serveYardstick(t, bin)
}

// TestMeasureFleet starts 100 bridged containers that stay, one after another
// and together, and samples what those that are being started wait for.
func TestMeasureFleet(t *testing.T) {
	e, _ := measuring(t)
	root := image(t)
	cc(t, "-O2", "-static", "-nostdlib", "-DWAIT", "-o", root+"/true", "testdata/true.c")
	const many = 100
	for _, kind := range []string{"none", "bridge"} {
		for _, together := range []int{1, 2, 4, many, 1, 2, 4, many} {
			n := openNetwork(t, network.Options{})
			var fleet []*Container
			for range many {
				spec := sixTrue(t, root)
				spec.Loopback, spec.DieWithParent = true, false // the goroutines that start them end
				if kind == "bridge" {
					spec.Network = n.Attach()
				}
				c, err := e.Create(spec)
				if err != nil {
					t.Fatal(err)
				}
				fleet = append(fleet, c)
			}
			time.Sleep(2 * time.Second) // the kernel takes the last fleet apart
			stop := sampleWaits()
			begin := time.Now()
			var all sync.WaitGroup
			slots := make(chan bool, together)
			for _, c := range fleet {
				slots <- true
				all.Go(func() {
					if err := c.Start(context.Background()); err != nil {
						t.Error(err)
					}
					<-slots
				})
			}
			all.Wait()
			took := time.Since(begin)
			waits := stop()
			t.Logf("%s, %d together: %d started in %.0f ms, %.2f ms each\n%s", kind, together, many, took.Seconds()*1e3, took.Seconds()*1e3/many, waits)
			for _, c := range fleet {
				if err := c.Remove(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// sampleWaits looks every few milliseconds at where in the kernel the children
// of this process sleep. It returns the function that ends it and gives the
// five commonest places.
func sampleWaits() (stop func() string) {
	done, result := make(chan bool), make(chan string)
	go func() {
		seen, total := map[string]int{}, 0
		for {
			select {
			case <-done:
				places := slices.SortedFunc(maps.Keys(seen), func(a, b string) int { return seen[b] - seen[a] })
				var b strings.Builder
				for _, p := range places[:min(5, len(places))] {
					fmt.Fprintf(&b, "\t%3.0f%% %s\n", 100*float64(seen[p])/float64(total), p)
				}
				result <- b.String()
				return
			case <-time.After(3 * time.Millisecond):
			}
			lists, _ := filepath.Glob("/proc/self/task/*/children")
			for _, list := range lists {
				children, _ := os.ReadFile(list)
				for _, pid := range strings.Fields(string(children)) {
					stack, _ := os.ReadFile("/proc/" + pid + "/stack")
					if p := place(string(stack)); p != "" {
						seen[p]++
						total++
					}
				}
			}
		}
	}()
	return func() string { close(done); return <-result }
}

// place is the innermost functions of a kernel stack, or "" for a container
// that has started.
func place(stack string) string {
	var names []string
	for line := range strings.Lines(stack) {
		_, name, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "+")
		names = append(names, name)
	}
	if len(names) < 3 || strings.Contains(stack, "pause") {
		return ""
	}
	return strings.Join(names[:min(4, len(names))], " < ")
}
