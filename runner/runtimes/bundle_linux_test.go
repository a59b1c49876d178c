package runtimes

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/isolate/cgroup"
)

// TestResources holds what OCI runtimes are told against what isolate writes.
func TestResources(t *testing.T) {
	limits := cgroup.Limits{
		CPU: 0.5, CPUWeight: 200, Memory: 64 << 20, Swap: cgroup.NoSwap, PIDs: 10, IOWeight: 1000,
		Hugetlb: []cgroup.HugetlbLimit{{PageSize: 2 << 20, Max: 4 << 20}},
		IO:      []cgroup.IOLimit{{Device: "8:16", ReadBPS: 1 << 20}},
	}
	got, err := json.Marshal((&oci{}).resources(limits))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"memory":{"limit":67108864,"swap":67108864},"cpu":{"shares":2048,"quota":50000,"period":100000},"pids":{"limit":10},` +
		`"blockIO":{"weight":181,"throttleReadBpsDevice":[{"major":8,"minor":16,"rate":1048576}]},` +
		`"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
