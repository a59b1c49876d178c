package reports

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/profiles"
	"plimsoll/runner"
)

// storages is a run over storages whose costs are known: figures by metric,
// then by storage.
func storages(rounds int) *runner.Journal {
	s := newSynthetic("vm", 11, rounds)
	s.journal.Header.Levels["storage"]["overlay-tmpfs"] = map[string]string{"forgets": "true"}
	costs := []struct {
		workload, params string
		m                measured
		of               map[string]float64
	}{
		{"provision", "", seconds("provision", 1, 0.05), map[string]float64{"vfs": 200e-3, "overlay": 0.4e-3, "overlay-tmpfs": 0.3e-3, "btrfs": 1.5e-3, "xfs-reflink": 30e-3, "loop-ext4": 21e-3}},
		{"provision", "layers=64", seconds("provision", 1, 0.05), map[string]float64{"vfs": 210e-3, "overlay": 1.2e-3, "overlay-tmpfs": 1e-3, "btrfs": 1.5e-3, "xfs-reflink": 30e-3, "loop-ext4": 21e-3}},
		{"provision", "", measured{"disk_per_clone", "B", runner.Lower, 1, 0}, map[string]float64{"vfs": 33e6, "overlay": 8192, "overlay-tmpfs": 0, "btrfs": 16384, "xfs-reflink": 524288, "loop-ext4": 40e6}},
		{"provision", "", seconds("delete", 1, 0.05), map[string]float64{"vfs": 20e-3, "overlay": 0.4e-3, "overlay-tmpfs": 0.3e-3, "btrfs": 0.8e-3, "xfs-reflink": 15e-3, "loop-ext4": 4e-3}},
		{"small_change", "", seconds("small_change", 1, 0.05), map[string]float64{"vfs": 8e-6, "overlay": 90e-6, "overlay-tmpfs": 60e-6, "btrfs": 30e-6, "xfs-reflink": 15e-6, "loop-ext4": 12e-6}},
		{"large_change", "", seconds("large_change", 1, 0.05), map[string]float64{"vfs": 10e-6, "overlay": 40e-3, "overlay-tmpfs": 20e-3, "btrfs": 40e-6, "xfs-reflink": 60e-6, "loop-ext4": 12e-6}},
		{"large_change", "file=1MiB", seconds("large_change", 1, 0.05), map[string]float64{"vfs": 10e-6, "overlay": 0.6e-3, "overlay-tmpfs": 0.4e-3, "btrfs": 40e-6, "xfs-reflink": 60e-6, "loop-ext4": 12e-6}},
		{"page_cache", "", measured{"page_cache_per_clone", "B", runner.Lower, 1, 0}, map[string]float64{"vfs": 64 << 20, "overlay": 0, "overlay-tmpfs": 0, "btrfs": 64 << 20, "xfs-reflink": 64 << 20, "loop-ext4": 64 << 20}},
		{"quirks", "", measured{"quirk/rename_directory", "1", runner.Higher, 1, 0}, map[string]float64{"vfs": 1, "overlay": 0, "overlay-tmpfs": 0, "btrfs": 1, "xfs-reflink": 1, "loop-ext4": 1}},
		{"quirks", "", measured{"quirk/d_type", "1", runner.Higher, 1, 0}, map[string]float64{"vfs": 1, "overlay": 1, "overlay-tmpfs": 1, "btrfs": 1, "xfs-reflink": 1, "loop-ext4": 1}},
	}
	s.rounds(rounds, func() {
		for _, c := range costs {
			for _, b := range profiles.Backends {
				value, ok := c.of[b.Name]
				if !ok {
					continue
				}
				m := c.m
				m.value = value
				k := runner.Key{Workload: c.workload, Runtime: "bare", Storage: b.Name, Params: c.params}
				s.trial(k, m)
				if k.IsBaseline() {
					s.trial(k.Control(), m)
				}
			}
		}
	})
	s.journal.Skips = append(s.journal.Skips, runner.Skip{
		Key: runner.Key{Workload: "provision", Runtime: "bare", Storage: "zfs", Host: "vm"}, Reason: "zpool: not found", Fix: "apt-get install zfsutils-linux",
	})
	return s.journal
}

func TestStorageWords(t *testing.T) {
	s := mustNew(t, storages(6)).Runs[0].Storage
	type field struct{ row, kind, verdict string }
	var got []field
	words := map[string]string{}
	for _, c := range s.Claims {
		for _, k := range c.Kinds {
			got = append(got, field{c.Row, k.Kind, k.Verdict})
			for _, f := range k.Findings {
				words[c.Row+" "+f.Storage] = f.Word
			}
		}
	}
	for _, d := range s.Drawbacks {
		got = append(got, field{"drawbacks", d.Kind, d.Verdict})
	}
	want := []field{
		{"provisioning", "union", agrees}, {"provisioning", "snapshot", disagrees}, {"provisioning", "block", worseThan},
		{"changing small files", "union", worseThan}, {"changing small files", "snapshot", inPart}, {"changing small files", "block", betterThan},
		{"changing large files", "union", agrees}, {"changing large files", "snapshot", agrees}, {"changing large files", "block", agrees},
		{"diffing", "union", notMeasured}, {"diffing", "snapshot", notMeasured}, {"diffing", "block", notMeasured},
		{"memory usage", "union", agrees}, {"memory usage", "snapshot", worseThan}, {"memory usage", "block", agrees},
		{"drawbacks", "union", agrees}, {"drawbacks", "snapshot", agrees}, {"drawbacks", "block", agrees},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(field{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for field, word := range map[string]string{
		"provisioning overlay": "superfast", "provisioning btrfs": "superfast", "provisioning xfs-reflink": "slow",
		"changing small files btrfs": "cheap", "changing small files xfs-reflink": "supercheap",
	} {
		if words[field] != word {
			t.Errorf("%s is called %q, not %q", field, words[field], word)
		}
	}
	chosen := map[string]string{}
	for _, u := range s.Uses {
		chosen[u.Name] = u.Choose[0]
	}
	if diff := cmp.Diff(map[string]string{
		"many short-lived containers: functions, jobs, tests": "overlay-tmpfs",
		"as many containers as fit into memory and disk":      "overlay",
	}, chosen); diff != "" {
		t.Errorf("choices -want +got:\n%s", diff)
	}
}

// TestStorageAlone: without a plain copy, or with one figure, nothing is said
// that was not measured.
func TestStorageAlone(t *testing.T) {
	j := storages(6)
	var kept []runner.Sample
	for _, s := range j.Samples {
		if s.Key.Storage != profiles.PlainCopy {
			kept = append(kept, s)
		}
	}
	j.Samples = kept
	for _, c := range mustNew(t, j).Runs[0].Storage.Claims {
		for _, k := range c.Kinds {
			if k.Verdict != notMeasured {
				t.Errorf("%s of %s: %s, with nothing to compare with", c.Row, k.Kind, k.Verdict)
			}
		}
	}
	if mustNew(t, quick("vm", 7, 6)).Runs[0].Storage != nil {
		t.Error("a run without workloads on storage has a table of them")
	}
}

// TestZFSWithColdCells: that a cell of a storage was skipped does not make the
// host lack it.
func TestZFSWithColdCells(t *testing.T) {
	j := storages(6)
	var samples []runner.Sample
	for _, s := range j.Samples {
		if s.Key.Storage == "btrfs" {
			s.Key.Storage = "zfs"
		}
		samples = append(samples, s)
	}
	j.Samples = samples
	j.Skips[0].Key.Cache = "cold"
	for _, d := range mustNew(t, j).Runs[0].Storage.Drawbacks {
		if d.Kind == "snapshot" && !strings.HasPrefix(d.Found, "it runs on this host") {
			t.Errorf("ZFS: %s", d.Found)
		}
	}
}

func TestStorageTextGolden(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, mustNew(t, storages(6)), false); err != nil {
		t.Fatal(err)
	}
	golden(t, "storage.txt", b.Bytes())
}
