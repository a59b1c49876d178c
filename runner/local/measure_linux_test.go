package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/storagebench"
)

// ioPattern is one part of the io workload, and what a person would type to
// have fio do the same. Without fallocate=none fio reserves a new file's blocks
// before it appends to it, and without invalidate=0 it begins with a cold cache;
// what its clock and its statistics cost for each block is left out
// (gtod_reduce) but where a latency is asked for.
type ioPattern struct {
	part string
	fio  []string
}

var ioPatterns = []ioPattern{
	{"rand_read", []string{"--rw=randread", "--norandommap", "--gtod_reduce=1"}},
	{"rand_write", []string{"--rw=randwrite", "--norandommap", "--overwrite=1", "--gtod_reduce=1"}},
	{"seq_read", []string{"--rw=read", "--gtod_reduce=1"}},
	{"seq_write", []string{"--rw=write", "--overwrite=1", "--gtod_reduce=1"}},
	{"fsync", []string{"--rw=write", "--fsync=1", "--fallocate=none"}},
}

// ioScale is how much of it is done.
type ioScale struct {
	size     int64
	duration time.Duration
	rounds   int
}

// TestMeasureOnStorage holds the io workload, in a container on each storage
// as bench run has it, against fio on the same mount outside of it: same block
// and file size, one request at a time, O_DIRECT where the storage has it. The
// two alternate ABBA, and the median of their ratios must be within a tenth of 1.
// Where a block takes two processes, as on FUSE, they may be on one CPU or on two,
// which makes five times the difference in a virtual machine, whose idle CPUs
// halt: hence many rounds. One storage alone: -run TestMeasureOnStorage/btrfs.
func TestMeasureOnStorage(t *testing.T) {
	if os.Getenv("PLIMSOLL_MEASURE") != "1" {
		t.Skip("PLIMSOLL_MEASURE=1 measures")
	}
	for _, b := range profiles.Backends {
		t.Run(b.Name, func(t *testing.T) {
			ratios := againstFio(t, b.Name, ioScale{16 << 20, 200 * time.Millisecond, 15})
			for _, p := range ioPatterns {
				median := middle(ratios[p.part])
				if median < 0.9 || median > 1.1 {
					t.Errorf("%s on %s: %.3f of fio's, want 0.9 to 1.1 (%.3f)", p.part, b.Name, median, ratios[p.part])
				}
			}
		})
	}
}

// TestAgainstFio has both do a little, and judges no figure.
func TestAgainstFio(t *testing.T) {
	ratios := againstFio(t, "vfs", ioScale{1 << 20, 5 * time.Millisecond, 1})
	for _, p := range ioPatterns {
		if len(ratios[p.part]) != 1 || !(ratios[p.part][0] > 0) {
			t.Errorf("%s: ratios %v", p.part, ratios[p.part])
		}
	}
}

// againstFio gives, for each pattern and round, how fast the workload in a
// container was, fio being 1.
func againstFio(t *testing.T, storage string, s ioScale) map[string][]float64 {
	_, err := exec.LookPath("fio")
	need(t, "fio", err == nil)
	e := open(t, profile(t, fmt.Sprintf(`
rounds: 1
factors: {workload: [io], runtime: [isolate], storage: [%s]}
pools: {size: 2GiB}
workloads: {io: {params: {size: %s, duration: %s, direct: [true, false], part: [rand_read, rand_write, seq_read, seq_write, fsync]}}}
`, storage, profiles.FormatBytes(s.size), s.duration)))
	for _, l := range e.Host(t.Context()).Lacks {
		if slices.Contains(l.Where.Storage, storage) && l.Where.Workload == nil && l.Where.Runtime == nil {
			need(t, storage, false)
		}
	}
	root := sameMount(t, e, storage)
	direct := "true"
	// A log that is full is emptied, where fio goes back to its begin and appends
	// no more, which takes it 2.3 µs on a tmpfs, and 3.4 before: neither is to come
	// so far.
	size := func(part string) int64 {
		if part == "fsync" {
			return 64 * s.size
		}
		return s.size
	}
	// In memory, 4 KiB are copied in less time than fio takes to choose the block.
	block := func(part string) int64 {
		if direct == "false" && part != "fsync" {
			return 64 << 10
		}
		return 4 << 10
	}
	inside := func(part string) (runner.Outcome, float64) {
		params := fmt.Sprintf("direct=%s,duration=%s,part=%s,size=%s", direct, s.duration, part, profiles.FormatBytes(size(part)))
		if size := block(part); size != 4<<10 {
			params = "block=" + profiles.FormatBytes(size) + "," + params
		}
		o, err := e.Run(t.Context(), runner.Trial{Key: runner.Key{Workload: "io", Runtime: "isolate", Storage: storage, Dir: e.dirs[0].level, Network: "none", Params: params}})
		if err != nil {
			t.Fatal(err)
		}
		if o.Failure != nil {
			return o, 0
		}
		return o, o.Samples[0].Value
	}
	if o, _ := inside("seq_write"); o.Failure != nil && strings.Contains(o.Failure.Error, "direct=false") {
		direct = "false"
		t.Logf("%s has no direct I/O: both go through the page cache", storage)
	}
	ratios := map[string][]float64{}
	for _, p := range ioPatterns {
		var ours, theirs []float64
		for round := range s.rounds {
			a, b := func() {
				o, value := inside(p.part)
				if o.Failure != nil {
					t.Fatalf("%s: %s", p.part, o.Failure.Error)
				}
				ours = append(ours, value)
			}, func() {
				theirs = append(theirs, byHand(t, root, p, s.duration, size(p.part), block(p.part), direct == "true"))
			}
			if round%2 == 1 {
				a, b = b, a
			}
			a()
			b()
		}
		for i := range ours {
			ratio := ours[i] / theirs[i]
			if p.part == "fsync" { // seconds, less is faster
				ratio = 1 / ratio
			}
			ratios[p.part] = append(ratios[p.part], ratio)
		}
		t.Logf("%-16s %-10s direct=%s  inside %.4g, fio %.4g; of fio's %.3f, medians of %d (%.3f)",
			storage, p.part, direct, middle(ours), middle(theirs), middle(ratios[p.part]), s.rounds, ratios[p.part])
	}
	return ratios
}

// middle is the median.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// sameMount gives a clone, and has all containers run on that one: only an
// overlay, which each container mounts itself, is another of the same kind.
func sameMount(t *testing.T, e *Executor, storage string) string {
	d := e.dirs[0]
	if !isBackend(storage) {
		c, err := makeClone(storage, filepath.Join(d.base, "by-hand"), d.image, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.remove(); err != nil {
				t.Error(err)
			}
		})
		return c.root.Path
	}
	pool, err := e.pools.containers(t.Context(), d, storage)
	if err != nil {
		t.Fatal(err)
	}
	root, err := pool.Clone(t.Context(), "by-hand")
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range e.pools.open {
		made.Pool = oneClone{made.Pool, root}
	}
	return root
}

// oneClone is a pool all of whose clones are the same.
type oneClone struct {
	storagebench.Pool
	root string
}

func (o oneClone) Clone(context.Context, string) (string, error) { return o.root, nil }
func (o oneClone) Remove(context.Context, string) error          { return nil }

// byHand runs fio in a directory, and gives what the part of the workload
// measures: bytes per second, or the seconds of a write and its fsync.
// It is given time to settle, for its first 200 ms read 77 MB/s from btrfs and 96
// from fuse-overlayfs; with that time before, or in two seconds, 50, as the workload
// does and a loop of pread(2) in C. It seems that no CPU halts while fio starts.
func byHand(t *testing.T, root string, p ioPattern, duration time.Duration, size, block int64, direct bool) float64 {
	t.Helper()
	file := filepath.Join(root, "data", "by-hand")
	argv := append([]string{"--name=by-hand", "--ioengine=psync", "--iodepth=1", fmt.Sprintf("--bs=%d", block), "--filename=" + file, "--direct=0", "--invalidate=0",
		fmt.Sprintf("--size=%d", size), "--time_based", fmt.Sprintf("--runtime=%dms", duration.Milliseconds()), "--ramp_time=300ms", "--output-format=json"}, p.fio...)
	if direct {
		argv[slices.Index(argv, "--direct=0")] = "--direct=1"
		// It lays out the file through the page cache, where each write would
		// have to look for that block.
		argv[slices.Index(argv, "--invalidate=0")] = "--invalidate=1"
	}
	var out, stderr bytes.Buffer
	cmd := exec.Command("fio", argv...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, &stderr, &out)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	type latency struct {
		Percentile map[string]float64 `json:"percentile"`
	}
	type transfers struct {
		Bandwidth float64 `json:"bw_bytes"`
		Latency   latency `json:"clat_ns"`
	}
	var result struct {
		Jobs []struct {
			Read, Write transfers
			Sync        struct {
				Latency latency `json:"lat_ns"`
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &out)
	}
	job := result.Jobs[0]
	if p.part == "fsync" {
		return (job.Write.Latency.Percentile["50.000000"] + job.Sync.Latency.Percentile["50.000000"]) / 1e9
	}
	return job.Read.Bandwidth + job.Write.Bandwidth
}
