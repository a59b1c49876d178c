package cgroup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryLimit shows what each limit becomes in either version, memory last.
func TestEveryLimit(t *testing.T) {
	all := Limits{
		CPU: 0.5, CPUWeight: 50, CPUSet: "0", Mems: "0", Memory: 64 << 20, Swap: 16 << 20, PIDs: 10, IOWeight: 1000,
		IO:      []IOLimit{{Device: "8:0", ReadBPS: 1000}},
		Hugetlb: []HugetlbLimit{{1 << 30, 0}, {64 << 10, 128 << 10}},
		Devices: []Device{{'c', 1, 3, "rw"}, {'b', AnyDevice, AnyDevice, "m"}}, NetClass: 0x10002, NetPriority: map[string]uint32{"lo": 1, "eth0": 5},
	}
	for version, want := range map[int]string{
		1: `cpuset.cpus 0
cpuset.mems 0
cpu.shares 512
cpu.cfs_period_us 100000
cpu.cfs_quota_us 50000
blkio.bfq.weight 181
blkio.throttle.read_bps_device 8:0 1000
hugetlb.1GB.limit_in_bytes 0, hugetlb.1GB.rsvd.limit_in_bytes 0
hugetlb.64KB.limit_in_bytes 131072, hugetlb.64KB.rsvd.limit_in_bytes 131072
devices.deny a
devices.allow c 1:3 rw
devices.allow b *:* m
net_cls.classid 65538
net_prio.ifpriomap eth0 5
net_prio.ifpriomap lo 1
pids.max 10
memory.limit_in_bytes 67108864
memory.memsw.limit_in_bytes 83886080
`,
		2: `cpuset.cpus 0
cpuset.mems 0
cpu.weight 50
cpu.max 50000 100000
io.weight 1000, io.bfq.weight 181
io.max 8:0 rbps=1000
hugetlb.1GB.max 0, hugetlb.1GB.rsvd.max 0
hugetlb.64KB.max 131072, hugetlb.64KB.rsvd.max 131072
pids.max 10
memory.max 67108864
memory.swap.max 16777216
`,
	} {
		var got strings.Builder
		for i := range controllers {
			if limits := controllers[i].in(version).limits; limits != nil {
				for _, v := range limits(all) {
					fmt.Fprint(&got, v.File, " ", v.Data)
					if v.Also != nil {
						fmt.Fprint(&got, ", ", v.Also.File, " ", v.Also.Data)
					}
					fmt.Fprintln(&got)
				}
			}
		}
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
}

func TestNoSwapIsZero(t *testing.T) {
	l := Limits{Memory: 1 << 20, Swap: NoSwap}
	if v := memoryLimitsV1(l)[1]; v.Data != "1048576" {
		t.Errorf("version 1: %+v", v)
	}
	if v := memoryLimitsV2(l)[1]; v.Data != "0" {
		t.Errorf("version 2: %+v", v)
	}
}

// TestLimitsOfVersion1Alone: they need a controller that v2 has not.
func TestLimitsOfVersion1Alone(t *testing.T) {
	v2 := &Host{Hierarchies: []Hierarchy{{Version: 2, Controllers: []Controller{Memory}}}}
	v2.Missing = v2.missing(nil)
	if _, err := v2.Values(Limits{NetClass: 1}); err == nil || !strings.Contains(err.Error(), "v1 only") {
		t.Errorf("got %v", err)
	}
	if values, err := v2.Values(Limits{Devices: DockerDevices}); err != nil || len(values) > 0 { // a program
		t.Errorf("devices on v2: %v, %v", values, err)
	}
	v1 := &Host{Hierarchies: []Hierarchy{{Version: 1, Controllers: []Controller{NetCls, Devices}}}}
	if values, err := v1.Values(Limits{NetClass: 1, Devices: DockerDevices}); err != nil || len(values) != 2+len(DockerDevices) {
		t.Errorf("on v1: %v, %v", values, err)
	}
}
