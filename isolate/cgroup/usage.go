package cgroup

// Reading is a number that the kernel may not give: Known tells 0 from absent.
type Reading struct {
	Value float64
	Known bool
}

// Usage is what a group and its descendants have used, as far as the hierarchies that the
// group was made in can tell.
type Usage struct {
	CPU    CPUUsage
	Memory MemoryUsage
	IO     IOUsage
	PIDs   PIDUsage
	Stalls Stalls
}

// CPUUsage is time on a CPU, and time kept off it by the quota.
type CPUUsage struct {
	Total, User, System Reading // s
	Periods             Reading // periods in which the quota was counted
	Throttled           Reading // periods in which it ran out
	ThrottledTime       Reading // s, summed over CPUs
}

// MemoryUsage is memory charged, and what happened at the limit.
type MemoryUsage struct {
	Current, Peak Reading // bytes; peak on v2 since Linux 5.19
	AtLimit       Reading // times that the limit was hit (v2 events max, v1 failcnt)
	OOM           Reading // times that reclaim found nothing (v2 only)
	OOMKills      Reading // processes killed for it
}

// IOUsage is what reached block devices. On v1 buffered writes are charged to
// the root, not to the writer (cgroup-v1/blkio-controller.rst).
type IOUsage struct {
	ReadBytes, WriteBytes Reading // bytes
	ReadOps, WriteOps     Reading
}

// Stalls is the time in which some task of the group waited for a resource (PSI):
// known in the unified hierarchy, of a hybrid host too, where the kernel counts it.
type Stalls struct {
	CPU, Memory, IO Reading // s
}

// PIDUsage counts processes and threads.
type PIDUsage struct {
	Current, Peak Reading // peak: absent on older kernels
	Refused       Reading // forks refused at the limit
}
