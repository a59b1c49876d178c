package profiles

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// leastMemory is what a static program needs to be executed at all: the
	// kernel charges in batches of 64 pages a CPU, and kernel stacks and page
	// tables count too. isolate/cgroup refuses less.
	leastMemory = 512 << 10
	page        = 4 << 10 // of the smallest kind: the kernel counts in whole ones
	// leastQuota is the least cpu.max quota, and the least period
	// (Documentation/scheduler/sched-bwc.rst), in microseconds.
	leastQuota    = 1000
	defaultPeriod = 100_000
	// mostCPUs is the largest CONFIG_NR_CPUS.
	mostCPUs = 8192
)

func decodeLimits(s section, names []string) map[string]Limits {
	var out map[string]Limits
	for _, name := range names {
		if out == nil {
			out = map[string]Limits{}
		}
		out[name] = decodeLimit(s.sub("limits").sub(name))
	}
	return out
}

func decodeLimit(s section) Limits {
	faults := len(*s.errs)
	l := Limits{
		CPUPeriod: value(s, "cpu_period", parsePeriod),
		CPUWeight: value(s, "cpu_weight", within(parseInt, 1, 10_000, number)),
		CPUSet:    value(s, "cpuset", parseCPUList),
		Mems:      value(s, "mems", parseCPUList),
		Memory:    value(s, "memory", parseMemory),
		Swap:      value(s, "swap", parseSwap),
		PIDs:      value(s, "pids", within(parseCount, 1, 4<<20, number)), // PID_MAX_LIMIT
		IOWeight:  value(s, "io_weight", within(parseInt, 1, 10_000, number)),
	}
	l.CPU = value(s, "cpu", func(text string) (float64, error) {
		return parseQuota(text, float64(cmp.Or(l.CPUPeriod, defaultPeriod)))
	})
	if l.CPUPeriod != 0 && s.get("cpu") == nil {
		s.fail(s.path+".cpu_period", "does nothing without cpu")
	}
	if l.Swap != 0 && s.get("memory") == nil {
		s.fail(s.path+".swap", "does nothing without memory: version 1 of cgroups limits the sum of both")
	}
	for _, row := range s.table("hugetlb") {
		l.Hugetlb = append(l.Hugetlb, decodeHugetlb(row))
	}
	for i, row := range l.Hugetlb {
		if slices.ContainsFunc(l.Hugetlb[:i], func(h Hugetlb) bool { return h.Page == row.Page }) {
			s.fail(fmt.Sprintf("%s.hugetlb[%d].page", s.path, i), "%s stands twice", FormatBytes(row.Page))
		}
	}
	for _, row := range s.table("io") {
		l.IO = append(l.IO, decodeIO(row))
	}
	for i, row := range l.IO {
		if slices.ContainsFunc(l.IO[:i], func(o IOLimit) bool { return o.Device == row.Device }) {
			s.fail(fmt.Sprintf("%s.io[%d].device", s.path, i), "%s stands twice", row.Device)
		}
	}
	if len(*s.errs) == faults && reflect.ValueOf(l).IsZero() {
		s.fail(s.path, "limits nothing: set cpu, cpu_weight, cpuset, memory, pids, io, io_weight or hugetlb, or leave it out")
	}
	return l
}

var device = regexp.MustCompile(`^(workdir|/.+|[0-9]+:[0-9]+)$`)

func decodeIO(s section) IOLimit {
	rate := within(ParseRate, 1, 0, FormatRate)
	count := within(parseOps, 1, 0, number)
	l := IOLimit{
		Device:    s.text("device"),
		ReadBPS:   value(s, "read_bps", rate),
		WriteBPS:  value(s, "write_bps", rate),
		ReadIOPS:  value(s, "read_iops", count),
		WriteIOPS: value(s, "write_iops", count),
	}
	if !device.MatchString(l.Device) {
		s.fail(s.path+".device", "must be workdir, the path of a block device, or MAJOR:MINOR")
	}
	if (l == IOLimit{Device: l.Device}) {
		s.fail(s.path, "limits nothing: set read_bps, write_bps, read_iops or write_iops")
	}
	return l
}

func decodeHugetlb(s section) Hugetlb {
	h := Hugetlb{
		Page:  value(s, "page", within(ParseBytes, page, 0, FormatBytes)),
		Limit: value(s, "limit", ParseBytes),
	}
	if s.get("page") == nil || s.get("limit") == nil {
		s.fail(s.path, "needs a page size and a limit: {page: 2MiB, limit: 64MiB}")
	} else if h.Page&(h.Page-1) != 0 {
		s.fail(s.path+".page", "%s is not a power of 2: see /sys/kernel/mm/hugepages", FormatBytes(h.Page))
	} else if h.Page != 0 && h.Limit%h.Page != 0 {
		s.fail(s.path+".limit", "%s is not a whole number of pages", FormatBytes(h.Limit))
	}
	return h
}

// parseSwap reads none as NoSwap, and so no swap at all, which is what most
// who limit it want.
func parseSwap(s string) (int64, error) {
	if s == "none" {
		return NoSwap, nil
	}
	n, err := parsePages(s)
	if err != nil {
		err = fmt.Errorf("%w; none is no swap at all", err)
	}
	return n, err
}

func formatSwap(n int64) string {
	if n == NoSwap {
		return "none"
	}
	return FormatBytes(n)
}

// parseQuota reads a number of CPUs that a quota in a period, in
// microseconds, can give.
func parseQuota(s string, period float64) (float64, error) {
	n, err := parseCPUs(s)
	switch {
	case err != nil:
		return 0, err
	case math.Round(n*period) < leastQuota:
		return 0, fmt.Errorf("%s is too little: the least is %.3g, the kernel's least quota of 1ms in a period of %s",
			s, leastQuota/period, formatPeriod(int64(period)))
	case n > mostCPUs:
		return 0, fmt.Errorf("%s is too much: the most is %d", s, mostCPUs)
	}
	return n, nil
}

func parsePeriod(s string) (int64, error) {
	if n, err := parseCount(s); err == nil {
		s = strconv.FormatInt(n, 10) + "us"
	}
	d, err := parseDuration(s)
	if n := d.Microseconds(); err == nil && (n < leastQuota || n > 1_000_000) {
		return 0, fmt.Errorf("%s: the kernel takes periods from 1ms to 1s", s)
	}
	return d.Microseconds(), err
}

func parseMemory(s string) (int64, error) {
	if n, err := ParseBytes(s); err == nil && n < leastMemory {
		return 0, fmt.Errorf("%s is too little: below %s no program starts", s, FormatBytes(leastMemory))
	}
	return parsePages(s)
}

// parsePages reads an amount of memory in whole pages, one at least.
func parsePages(s string) (int64, error) {
	n, err := ParseBytes(s)
	switch {
	case err != nil:
		return 0, err
	case n < page:
		return 0, fmt.Errorf("%s is too little: the least is one page, %s", s, FormatBytes(page))
	case n%page != 0:
		return 0, fmt.Errorf("%s is not a whole number of pages: the next below is %s", s, FormatBytes(n/page*page))
	}
	return n, nil
}

// parseCPUList reads a list of CPUs or memory nodes as in cpuset(7), "0-1,3", and
// gives its shortest form.
func parseCPUList(s string) (string, error) {
	var in [mostCPUs]bool
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		a, errA := strconv.ParseUint(low, 10, 31)
		b, errB := strconv.ParseUint(high, 10, 31)
		switch {
		case errA != nil || errB != nil || a > b:
			return "", fmt.Errorf("%q is not a list of numbers and ranges (write it like 0-1,3)", s)
		case b >= mostCPUs:
			return "", fmt.Errorf("%q: the greatest number is %d", s, mostCPUs-1)
		}
		for i := a; i <= b; i++ {
			in[i] = true
		}
	}
	var out []string
	for i := 0; i < mostCPUs; i++ {
		if !in[i] {
			continue
		}
		first := i
		for i+1 < mostCPUs && in[i+1] {
			i++
		}
		if first == i {
			out = append(out, strconv.Itoa(i))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", first, i))
		}
	}
	return strings.Join(out, ","), nil
}
