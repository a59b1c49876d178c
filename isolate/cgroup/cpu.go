package cgroup

import "strconv"

// SharesFromWeight is v1's cpu.shares for a v2 weight: weight × 1024 / 100, rounded to
// the nearest. It is the kernel's own equivalence (cpu_weight_write_u64 in
// kernel/sched/core.c) and systemd's: ratios are kept, and the default of one is the
// default of the other. The OCI runtimes go the other way, from shares to
// weight, through a quadratic of the logarithm (opencontainers/cgroups
// ConvertCPUSharesToCgroupV2Value; before 2025 a line), which agrees at 2, 1,024 and 262,144 shares but
// keeps no ratio: to compare like with like on v2, give such a runtime
// cpu.weight itself, in linux.resources.unified.
func SharesFromWeight(weight int) int {
	return (weight*1024 + 50) / 100
}

func cpuLimitsV1(l Limits) (vs []Value) {
	if l.CPUWeight != 0 {
		vs = append(vs, Value{File: "cpu.shares", Data: strconv.Itoa(SharesFromWeight(l.CPUWeight))})
	}
	if l.CPU != 0 {
		vs = append(vs,
			Value{File: "cpu.cfs_period_us", Data: format(l.Period())}, // first: the kernel checks the quota against it
			Value{File: "cpu.cfs_quota_us", Data: format(l.quota())})
	}
	return vs
}

func cpuLimitsV2(l Limits) (vs []Value) {
	if l.CPUWeight != 0 {
		vs = append(vs, Value{File: "cpu.weight", Data: strconv.Itoa(l.CPUWeight)})
	}
	if l.CPU != 0 {
		vs = append(vs, Value{File: "cpu.max", Data: format(l.quota()) + " " + format(l.Period())})
	}
	return vs
}

func cpuUsageV1(read files, u *Usage) {
	for key, n := range flatKeyed(read("cpu.stat")) {
		switch key {
		case "nr_periods":
			u.CPU.Periods = n
		case "nr_throttled":
			u.CPU.Throttled = n
		case "throttled_time":
			u.CPU.ThrottledTime = n.scaled(1e-9)
		}
	}
}

// cpuacctUsage takes user and system time from cpuacct.stat, in hundredths of a
// second (USER_HZ, the same on every architecture of ours). cpuacct.usage_user is in ns but books each slice by the
// mode that it ended in.
func cpuacctUsage(read files, u *Usage) {
	u.CPU.Total = number(read("cpuacct.usage")).scaled(1e-9)
	for key, n := range flatKeyed(read("cpuacct.stat")) {
		switch key {
		case "user":
			u.CPU.User = n.scaled(1e-2)
		case "system":
			u.CPU.System = n.scaled(1e-2)
		}
	}
}

// unifiedUsage reads what the unified hierarchy counts in every group, on a
// hybrid host too: CPU time since Linux 4.15. The periods are there only
// with the cpu controller.
func unifiedUsage(read files, u *Usage) {
	for key, n := range flatKeyed(read("cpu.stat")) {
		switch key {
		case "usage_usec":
			u.CPU.Total = n.scaled(1e-6)
		case "user_usec":
			u.CPU.User = n.scaled(1e-6)
		case "system_usec":
			u.CPU.System = n.scaled(1e-6)
		case "nr_periods":
			u.CPU.Periods = n
		case "nr_throttled":
			u.CPU.Throttled = n
		case "throttled_usec":
			u.CPU.ThrottledTime = n.scaled(1e-6)
		}
	}
}
