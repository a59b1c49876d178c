package cgroup

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits is what a group may use. The zero value of a field is no limit.
type Limits struct {
	CPU       float64   // quota in CPUs: 0.5 is half of one
	CPUPeriod int64     // µs over which the quota is counted, 1,000 to 1,000,000; 0 is 100,000
	CPUWeight int       // share under contention, 1 to 10,000 as in v2's cpu.weight; the kernel's default is 100
	CPUSet    string    // list of CPUs, "0-1,3"
	Mems      string    // list of NUMA nodes
	Memory    int64     // bytes
	Swap      int64     // bytes besides Memory, and only with it; NoSwap is none
	PIDs      int64     // processes and threads
	IO        []IOLimit // one for each block device
	IOWeight  int       // share of disks under contention, 1 to 10,000 as in v2's io.weight; the kernel's default is 100
	Hugetlb   []HugetlbLimit

	// Devices are all that may be used; nil is no limit, and an empty list none
	// at all. It takes root.
	Devices []Device

	NetClass    uint32            // tag of packets, 0xAAAABBBB for class A:B of tc; v1 only
	NetPriority map[string]uint32 // of packets, by network interface; v1 only
}

// NoSwap is the limit of no swap at all.
const NoSwap = -1

// IOLimit throttles one block device. A rate of 0 is no limit.
type IOLimit struct {
	Device    string // "MAJOR:MINOR" of a whole disk: the kernel throttles no partition
	ReadBPS   int64  // B/s
	WriteBPS  int64  // B/s
	ReadIOPS  int64  // op/s
	WriteIOPS int64  // op/s
}

const (
	defaultPeriod = 100_000 // µs, the kernel's own (scheduler/sched-bwc.rst)
	// The kernel takes any memory limit, but charges tasks in batches of 64
	// pages a CPU (MEMCG_CHARGE_BATCH) and their kernel stacks and page tables with them:
	// below 512 KiB not even a static program is executed.
	minMemory = 512 << 10
	maxCPUs   = 8192    // largest NR_CPUS that any architecture can be configured with
	maxPIDs   = 1 << 22 // PID_MAX_LIMIT: pids.max refuses more
)

// Validate refuses what no kernel can do, naming every field at fault.
// Whether this host has the CPU, node, device or controller is not asked.
func (l Limits) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if l.CPUPeriod != 0 && (l.CPUPeriod < 1000 || l.CPUPeriod > 1_000_000) {
		bad("cpu_period %d: must be 1,000 to 1,000,000 µs", l.CPUPeriod)
	}
	switch {
	case l.CPU == 0 && l.CPUPeriod != 0:
		bad("cpu_period %d: has no meaning without a cpu limit", l.CPUPeriod)
	case math.IsNaN(l.CPU) || l.CPU < 0 || l.CPU > maxCPUs:
		bad("cpu %v: must be a number of CPUs above 0, at most %d", l.CPU, maxCPUs)
	case l.CPU > 0 && l.quota() < 1000:
		bad("cpu %v of a period of %d µs is a quota of %d µs: the kernel takes no less than 1,000 µs (choose more CPU or a longer period)",
			l.CPU, l.Period(), l.quota())
	}
	if l.CPUWeight != 0 && (l.CPUWeight < 1 || l.CPUWeight > 10_000) {
		bad("cpu_weight %d: must be 1 to 10,000", l.CPUWeight)
	}
	if err := checkList(l.CPUSet); err != nil {
		bad("cpuset %q: %w", l.CPUSet, err)
	}
	if err := checkList(l.Mems); err != nil {
		bad("mems %q: %w", l.Mems, err)
	}
	if l.Memory < 0 || l.Memory > 0 && l.Memory < minMemory {
		bad("memory %d: must be at least %d bytes (512 KiB), or no program starts", l.Memory, minMemory)
	}
	if l.Swap != 0 && l.Memory == 0 {
		bad("swap: has no meaning without a memory limit: v1 limits the sum of both")
	}
	if l.Swap < NoSwap || l.Swap > math.MaxInt64-l.Memory {
		bad("swap %d: must be a number of bytes, or %d for none", l.Swap, NoSwap)
	}
	if l.IOWeight != 0 && (l.IOWeight < 1 || l.IOWeight > 10_000) {
		bad("io_weight %d: must be 1 to 10,000", l.IOWeight)
	}
	for _, h := range l.Hugetlb {
		if err := h.validate(); err != nil {
			bad("hugetlb: %w", err)
		}
	}
	if err := checkDevices(l.Devices); err != nil {
		bad("%w", err)
	}
	for name := range l.NetPriority {
		if name == "" || len(name) > 15 || strings.ContainsAny(name, " /\n") { // IFNAMSIZ
			bad("network interface %q: no such name", name)
		}
	}
	if l.PIDs < 0 || l.PIDs > maxPIDs {
		bad("pids %d: must be 1 to %d", l.PIDs, maxPIDs)
	}
	seen := map[string]bool{}
	for _, d := range l.IO {
		if err := d.validate(); err != nil {
			bad("io: %w", err)
		} else if seen[d.Device] {
			bad("io: device %s is limited twice", d.Device)
		}
		seen[d.Device] = true
	}
	return errors.Join(errs...)
}

func (d IOLimit) validate() error {
	major, minor, ok := strings.Cut(d.Device, ":")
	if _, err := strconv.ParseUint(major, 10, 12); !ok || err != nil { // 12 and 20 bits: dev_t (linux/kdev_t.h)
		return fmt.Errorf("device %q: must be MAJOR:MINOR, as in /proc/self/mountinfo", d.Device)
	}
	if _, err := strconv.ParseUint(minor, 10, 20); err != nil {
		return fmt.Errorf("device %q: must be MAJOR:MINOR, as in /proc/self/mountinfo", d.Device)
	}
	if min(d.ReadBPS, d.WriteBPS, d.ReadIOPS, d.WriteIOPS) < 0 {
		return fmt.Errorf("device %s: a rate is negative", d.Device)
	}
	if max(d.ReadBPS, d.WriteBPS, d.ReadIOPS, d.WriteIOPS) == 0 {
		return fmt.Errorf("device %s: no rate is given", d.Device)
	}
	if max(d.ReadIOPS, d.WriteIOPS) > math.MaxUint32 {
		return fmt.Errorf("device %s: the kernel counts operations a second in 32 bits", d.Device)
	}
	return nil
}

// checkList accepts the kernel's list format, "0-2,7" (cpuset(7)), without
// its rarer strides, and the empty string.
func checkList(s string) error {
	if s == "" {
		return nil
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		if errA != nil || errB != nil {
			return fmt.Errorf("%q is neither a number nor a range (write it like 0-2,7)", part)
		}
		if a > b {
			return fmt.Errorf("range %s runs backwards", part)
		}
	}
	return nil
}

// Period is the time over which the CPU quota is counted, in µs.
func (l Limits) Period() int64 {
	if l.CPUPeriod == 0 {
		return defaultPeriod
	}
	return l.CPUPeriod
}

// quota is the CPU limit in µs a period.
func (l Limits) quota() int64 { return int64(math.Round(l.CPU * float64(l.Period()))) }

// Any reports whether anything is limited.
func (l Limits) Any() bool {
	return l.CPU != 0 || l.CPUWeight != 0 || l.CPUSet != "" || l.Mems != "" || l.Memory != 0 || l.PIDs != 0 || len(l.IO) > 0 ||
		l.Swap != 0 || l.IOWeight != 0 || len(l.Hugetlb) > 0 || l.Devices != nil || l.NetClass != 0 || len(l.NetPriority) > 0
}
