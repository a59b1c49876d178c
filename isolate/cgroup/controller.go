package cgroup

// Controller is a kernel resource controller, by its v2 name.
type Controller string

// The controllers that Limits and accounting use. IO is "blkio" on v1. CPUAcct,
// Freezer and Devices are controllers on v1 only: v2 has them built in. NetCls
// and NetPrio are v1's alone.
const (
	CPUSet  Controller = "cpuset"
	CPU     Controller = "cpu"
	CPUAcct Controller = "cpuacct"
	IO      Controller = "io"
	Hugetlb Controller = "hugetlb"
	Devices Controller = "devices"
	NetCls  Controller = "net_cls"
	NetPrio Controller = "net_prio"
	PIDs    Controller = "pids"
	Freezer Controller = "freezer"
	Memory  Controller = "memory"
)

// controller is everything that this package knows of one controller.
type controller struct {
	name   Controller
	alone  bool   // of v1, and v2 has nothing in its place
	boot   string // kernel parameter that turns it on where a distribution ships it off
	v1, v2 version
}

// version is a controller in one version of cgroups.
type version struct {
	name   string // as the kernel writes it, "" where this version has none
	config string // kernel options it needs
	limits func(Limits) []Value
	usage  func(files, *Usage)
}

// files reads a file of one group: nil when it is not there. The bytes are
// good until the next call.
type files func(name string) []byte

// controllers is in the order of joining and of writing: memory is last.
var controllers = []controller{
	{name: CPUSet,
		v1: version{"cpuset", "CONFIG_CPUSETS_V1, before Linux 6.12 CONFIG_CPUSETS", cpusetLimits, nil},
		v2: version{"cpuset", "CONFIG_CPUSETS", cpusetLimits, nil}},
	{name: CPU,
		v1: version{"cpu", "CONFIG_CGROUP_SCHED and CONFIG_CFS_BANDWIDTH", cpuLimitsV1, cpuUsageV1},
		v2: version{"cpu", "CONFIG_CGROUP_SCHED and CONFIG_CFS_BANDWIDTH", cpuLimitsV2, nil}}, // cpu.stat is there without it: see unifiedUsage
	{name: CPUAcct,
		v1: version{"cpuacct", "CONFIG_CGROUP_CPUACCT", nil, cpuacctUsage}},
	{name: IO,
		v1: version{"blkio", "CONFIG_BLK_CGROUP and CONFIG_BLK_DEV_THROTTLING", ioLimitsV1, ioUsageV1},
		v2: version{"io", "CONFIG_BLK_CGROUP and CONFIG_BLK_DEV_THROTTLING", ioLimitsV2, ioUsageV2}},
	{name: Hugetlb,
		v1: version{"hugetlb", "CONFIG_CGROUP_HUGETLB", hugetlbLimits("limit_in_bytes"), nil},
		v2: version{"hugetlb", "CONFIG_CGROUP_HUGETLB", hugetlbLimits("max"), nil}},
	{name: Devices, // where there is a unified hierarchy, a program: see attachDevices
		v1: version{"devices", "CONFIG_CGROUP_DEVICE", deviceLimitsV1, nil}},
	{name: NetCls, alone: true,
		v1: version{"net_cls", "CONFIG_CGROUP_NET_CLASSID", netClassLimits, nil}},
	{name: NetPrio, alone: true,
		v1: version{"net_prio", "CONFIG_CGROUP_NET_PRIO", netPrioLimits, nil}},
	{name: PIDs,
		v1: version{"pids", "CONFIG_CGROUP_PIDS", pidsLimits, pidsUsage},
		v2: version{"pids", "CONFIG_CGROUP_PIDS", pidsLimits, pidsUsage}},
	{name: Freezer,
		v1: version{"freezer", "CONFIG_CGROUP_FREEZER", nil, nil}},
	{name: Memory, boot: "cgroup_enable=memory",
		v1: version{"memory", "CONFIG_MEMCG_V1, before Linux 6.11 CONFIG_MEMCG", memoryLimitsV1, memoryUsageV1},
		v2: version{"memory", "CONFIG_MEMCG", memoryLimitsV2, memoryUsageV2}},
}

func (c *controller) in(v int) *version {
	if v == 2 {
		return &c.v2
	}
	return &c.v1
}

// wanted says whether any version would have something to write.
func (c *controller) wanted(l Limits) bool {
	return c.v1.limits != nil && len(c.v1.limits(l)) > 0 || c.v2.limits != nil && len(c.v2.limits(l)) > 0
}

// known finds a controller in the table; nil for one that is not ours to use.
func known(name Controller) *controller {
	for i := range controllers {
		if controllers[i].name == name {
			return &controllers[i]
		}
	}
	return nil
}
