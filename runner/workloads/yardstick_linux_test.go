package workloads

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests of this file hold the workloads against programs in C. That takes
// a quiet machine: they run with PLIMSOLL_MEASURE=1, and only log.

func TestMeasureStream(t *testing.T) {
	needMeasure(t)
	binary := filepath.Join(t.TempDir(), "stream")
	run(t, "gcc", "-O2", "-fopenmp", "-o", binary, "testdata/stream.c", "-lm")
	compare(t, 10,
		func() map[string]float64 { return child(t, "memory", "", "part=stream", "threads=2") },
		func() map[string]float64 {
			values := map[string]float64{}
			for i, text := range strings.Fields(string(run(t, "env", "OMP_NUM_THREADS=2", binary, "16"))) {
				var value float64
				if _, err := fmt.Sscan(text, &value); err != nil {
					t.Fatal(err)
				}
				values[streamKernels[i].metric] = value
			}
			return values
		})
}

func TestMeasureRandomRead(t *testing.T) {
	needMeasure(t)
	dir := t.TempDir()
	compare(t, 20,
		func() map[string]float64 {
			return child(t, "io", dir, "part=rand_read", "direct=true", "duration=500ms")
		},
		func() map[string]float64 {
			out := run(t, "fio", "--name=randread", "--ioengine=psync", "--rw=randread", "--bs=4k", "--direct=1", "--iodepth=1", "--size=64m",
				"--time_based", "--runtime=500ms", "--filename="+filepath.Join(dir, "data"), "--output-format=json")
			var result struct {
				Jobs []struct {
					Read struct {
						Bandwidth float64 `json:"bw_bytes"`
					} `json:"read"`
				} `json:"jobs"`
			}
			if err := json.Unmarshal(out, &result); err != nil {
				t.Fatal(err)
			}
			return map[string]float64{"rand_read": result.Jobs[0].Read.Bandwidth}
		})
}

func needMeasure(t *testing.T) {
	if os.Getenv("PLIMSOLL_MEASURE") != "1" {
		t.Skip("PLIMSOLL_MEASURE=1 measures")
	}
}

// compare logs the medians of what ours and theirs reach, and of their ratio,
// with the range of the middle half. The two alternate ABBA, so that what
// drifts weighs on both alike.
func compare(t *testing.T, pairs int, ours, theirs func() map[string]float64) {
	us, them, ratios := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for i := range pairs {
		var a, b map[string]float64
		if i%2 == 0 {
			a = ours()
			b = theirs()
		} else {
			b = theirs()
			a = ours()
		}
		for metric := range b {
			us[metric] = append(us[metric], a[metric])
			them[metric] = append(them[metric], b[metric])
			ratios[metric] = append(ratios[metric], a[metric]/b[metric])
		}
	}
	for metric, ratio := range ratios {
		for _, values := range [][]float64{us[metric], them[metric], ratio} {
			slices.Sort(values)
		}
		t.Logf("%-10s %.4g against %.4g B/s, medians of %d; ratio %.3f, middle half %.3f to %.3f",
			metric, us[metric][pairs/2], them[metric][pairs/2], pairs, ratio[pairs/2], ratio[pairs/4], ratio[pairs*3/4])
	}
}

func run(t *testing.T, argv ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, &stderr)
	}
	return out
}

// child runs a workload in a process of its own, as bench does.
func child(t *testing.T, args ...string) map[string]float64 {
	t.Helper()
	t.Setenv(childVariable, "1")
	measurements, err := ParseOutput(bytes.NewReader(run(t, append([]string{os.Args[0]}, args...)...)))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, m := range measurements {
		values[m.Metric] = m.Value
	}
	return values
}
