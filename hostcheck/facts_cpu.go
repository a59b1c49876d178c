package hostcheck

import (
	"strconv"
	"strings"
)

const cpuDir = "/sys/devices/system/cpu/"

func cpuFacts(t tree, inv inventory) map[string]string {
	model, _ := inv.CPU()
	status := t.text("/proc/self/status")
	online := t.text(cpuDir + "online")
	affinity := field(status, "Cpus_allowed_list")
	f := map[string]string{
		"cpu.model":    model,
		"cpu.online":   online,
		"cpu.affinity": affinity,
		"cpu.governor": same(t, cpuDir+"cpu[0-9]*/cpufreq/scaling_governor"),
		"cpu.driver":   t.text(cpuDir + "cpu0/cpufreq/scaling_driver"),
		"cpu.turbo":    turbo(t),
		"cpu.smt":      smt(t),
		"cpu.idle":     t.text(cpuDir + "cpuidle/current_driver"),
		"cpu.isolated": t.text(cpuDir + "isolated"),
		"numa.nodes":   count(t.text("/sys/devices/system/node/online")),
		"numa.balance": t.text("/proc/sys/kernel/numa_balancing"),
	}
	f["cpu.count"] = count(online)
	f["cpu.usable"] = count(affinity)
	for i := 0; ; i++ {
		dir := cpuDir + "cpu0/cache/index" + strconv.Itoa(i) + "/"
		level := t.text(dir + "level")
		if level == "" {
			return f
		}
		name := "cpu.l" + level
		switch t.text(dir + "type") {
		case "Data":
			name += "d"
		case "Instruction":
			name += "i"
		}
		f[name] = bytesOf(t.text(dir + "size"))
	}
}

// same is the value that all files of a pattern hold, or their different
// values separated by spaces.
func same(t tree, pattern string) string {
	var values []string
	seen := map[string]bool{}
	for _, p := range t.glob(pattern) {
		if v := t.text(p); v != "" && !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	return strings.Join(values, " ")
}

// turbo reads the two places of Documentation/admin-guide/pm: cpufreq's boost
// and intel_pstate's no_turbo.
func turbo(t tree) string {
	switch t.text(cpuDir+"intel_pstate/no_turbo") + "," + t.text(cpuDir+"cpufreq/boost") {
	case "0,", "0,1", ",1":
		return "on"
	case "1,", "1,0", "1,1", ",0":
		return "off"
	}
	return ""
}

// smt is "on" or "off" as threads of a core share it now, or why it is
// neither: "notsupported", "notimplemented".
func smt(t tree) string {
	switch t.text(cpuDir + "smt/active") {
	case "1":
		return "on"
	case "0":
		if c := t.text(cpuDir + "smt/control"); c != "on" && c != "" {
			return c
		}
		return "off"
	}
	return ""
}

// count is the number of members of a list such as "0-3,8", "" if malformed.
func count(list string) string {
	if list == "" {
		return ""
	}
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(first)
		if err != nil {
			return ""
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(last); err != nil || b < a {
				return ""
			}
		}
		n += b - a + 1
	}
	return strconv.Itoa(n)
}

// bytesOf turns sysfs's "32K" into "32768".
func bytesOf(size string) string {
	shift := 0
	switch {
	case strings.HasSuffix(size, "K"):
		shift = 10
	case strings.HasSuffix(size, "M"):
		shift = 20
	}
	n, err := strconv.ParseInt(strings.TrimRight(size, "KM"), 10, 64)
	if err != nil || n < 0 || n > 1<<30 {
		return ""
	}
	return strconv.FormatInt(n<<shift, 10)
}
