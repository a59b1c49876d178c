package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

// phases are moments that a kill at random seldom meets, known by what a run
// has then.
var phases = []struct {
	name string
	is   func(r *rig, bench int) bool
}{
	{"a device without a file system", func(r *rig, bench int) bool { return r.attached() && !r.mounted() }},
	{"making a file system", func(r *rig, bench int) bool { return runsChild(bench, "mkfs.") }},
	{"mounted", func(r *rig, bench int) bool { return r.mounted() }},
	{"starting fuse-overlayfs", func(r *rig, bench int) bool { return runsChild(bench, "fuse-overlayfs") }},
}

// TestKillInPhases kills runs in the middle of what makes a pool, and the first
// bench clean too: the second one must remove what both left.
func TestKillInPhases(t *testing.T) {
	r := rigFor(t, killedOnStorage)
	for _, phase := range phases {
		for i := range max(1, times()/10) {
			t.Run(fmt.Sprintf("%s/%d", phase.name, i), func(t *testing.T) {
				r := &rig{t: t, dir: r.dir, work: r.work}
				before := ledgers()
				run, said := r.bench("run", r.path("killed.yaml"), "--out", filepath.Join(t.TempDir(), "out"), "--dir", r.work)
				if err := run.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- run.Wait() }()
				for !phase.is(r, run.Process.Pid) {
					select {
					case err := <-ended:
						t.Fatalf("the run ended before: %v\n%s", err, said)
					default:
					}
				}
				run.Process.Kill()
				<-ended
				runs := ledgers()
				for name := range before {
					delete(runs, name)
				}
				first, _ := r.bench("clean")
				if err := first.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(rand.N(50 * time.Millisecond))
				first.Process.Kill()
				first.Wait()
				t.Logf("the first clean: %s; %s", first.ProcessState, strings.TrimSpace(r.finishes("clean")))
				for name := range runs {
					if live(name) {
						delete(runs, name) // of another program
					}
				}
				r.nothingLeft(runs)
			})
		}
	}
}

func (r *rig) attached() bool {
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		if on, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(on), r.work) {
			return true
		}
	}
	return false
}

func (r *rig) mounted() bool {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(r.work))
	return err == nil && len(mounts) > 0
}

// runsChild says whether a process has a child whose program's name begins so.
func runsChild(parent int, program string) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		var state string
		var of int
		_, name, _ := strings.Cut(string(text), "(")
		name, rest, _ := strings.Cut(name, ") ")
		fmt.Sscan(rest, &state, &of) // proc_pid_stat(5)
		if of == parent && strings.HasPrefix(name, program) {
			return true
		}
	}
	return false
}
