package hostcheck

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Is the host fit to be measured? These matter to the use "bench" alone.

func noiseChecks() []Check {
	bench := need("------r")
	return []Check{
		{ID: "noise.steal", Group: "noise", Title: "no time is stolen", Why: "what a hypervisor gives to others shows as slowness here", Needs: bench,
			Fix: "move to a dedicated host, or repeat until the figure is small", probe: stealing},
		{ID: "noise.load", Group: "noise", Title: "nothing else runs", Why: "background load competes with what is measured", Needs: bench,
			Fix: "stop what runs: ps -eo pid,pcpu,comm --sort=-pcpu | head", probe: backgroundLoad},
		{ID: "noise.pressure", Group: "noise", Title: "nobody waits", Why: "tasks that stall for CPU, memory or disk", Needs: bench, probe: stalls},
		{ID: "noise.governor", Group: "noise", Title: "CPU frequency is held", Why: "a governor that follows load makes the first milliseconds slow", Needs: bench,
			Fix: "cpupower frequency-set -g performance", probe: governor},
		{ID: "noise.turbo", Group: "noise", Title: "turbo is off", Why: "boost depends on heat and on the neighbours", Needs: need("------o"),
			Fix: "echo 0 > /sys/devices/system/cpu/cpufreq/boost  # intel_pstate: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo", probe: turboOff},
		{ID: "noise.smt", Group: "noise", Title: "no sibling threads", Why: "two threads share one core's units", Needs: need("------o"),
			Fix: "echo off > /sys/devices/system/cpu/smt/control", probe: siblings},
		{ID: "noise.thp", Group: "noise", Title: "transparent huge pages on request", Why: "always-on makes memory figures depend on what was free", Needs: need("------o"),
			Fix: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled", probe: hugePages},
		{ID: "noise.numa", Group: "noise", Title: "no automatic NUMA balancing", Why: "it moves pages, and takes faults to learn where to", Needs: bench,
			Fix: "sysctl -w kernel.numa_balancing=0", probe: numaBalancing},
		{ID: "noise.irqbalance", Group: "noise", Title: "interrupts stay where they are", Why: "irqbalance moves them during a run", Needs: need("------o"),
			Fix: "systemctl stop irqbalance", probe: irqbalance},
		{ID: "noise.swap", Group: "noise", Title: "nothing is swapped out", Why: "a page fault then costs a disk read", Needs: bench,
			Fix: "swapoff -a", probe: swapUsed},
		{ID: "noise.clock", Group: "noise", Title: "a fast clock source", Why: "hpet and acpi_pm cost a microsecond a reading", Needs: bench,
			Fix: "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource", probe: clockSource},
	}
}

// stealing looks at the time since boot: within one check no tick may pass.
// [ReadNoise] samples it around each trial.
func stealing(h *host) Outcome {
	s, err := ReadNoise("/")
	if err != nil {
		return cannotTell(err.Error())
	}
	share := fraction(float64(s.steal), float64(s.total))
	ev := file("/proc/stat", fmt.Sprintf("%d of %d ticks since boot", s.steal, s.total))
	if share > 0.01 {
		return no(fmt.Sprintf("%.1f %% since boot", 100*share), ev)
	}
	return yes(fmt.Sprintf("%.2f %% since boot", 100*share), ev)
}

func backgroundLoad(h *host) Outcome {
	text := h.text("/proc/loadavg")
	first, _, _ := strings.Cut(text, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return cannotTell("/proc/loadavg cannot be read")
	}
	cpus, _ := strconv.Atoi(count(h.text(cpuDir + "online")))
	ev := file("/proc/loadavg", text)
	if load > 0.1*float64(max(cpus, 1)) {
		return no(fmt.Sprintf("load average %.2f on %d CPUs", load, cpus), ev)
	}
	return yes(fmt.Sprintf("load average %.2f on %d CPUs", load, cpus), ev)
}

func stalls(h *host) Outcome {
	var evidence []Evidence
	var high []string
	for _, name := range psiNames {
		path := "/proc/pressure/" + name
		line := firstLine(h.text(path))
		if line == "" {
			return cannotTell("there is no pressure information", file(path, "")).withFix("boot with psi=1")
		}
		evidence = append(evidence, file(path, line))
		_, rest, _ := strings.Cut(line, "avg10=")
		value, _, _ := strings.Cut(rest, " ")
		if share, err := strconv.ParseFloat(value, 64); err == nil && share > 1 {
			high = append(high, fmt.Sprintf("%s %.1f %%", name, share))
		}
	}
	if len(high) > 0 {
		return no("stalled in the last ten seconds: "+strings.Join(high, ", "), evidence...)
	}
	return yes("", evidence...)
}

func governor(h *host) Outcome {
	const pattern = cpuDir + "cpu[0-9]*/cpufreq/scaling_governor"
	switch g := same(h.tree, pattern); g {
	case "":
		return skip("frequency is not ours to set (a virtual machine, or fixed)", file(cpuDir+"cpu0/cpufreq", ""))
	case "performance":
		return yes(g, file(pattern, g))
	default:
		return no("the governor is "+g, file(pattern, g))
	}
}

func turboOff(h *host) Outcome {
	switch v := turbo(h.tree); v {
	case "off":
		return yes("", file(cpuDir+"cpufreq/boost", "off"))
	case "on":
		return no("it is on", file(cpuDir+"cpufreq/boost", "on"))
	}
	return skip("not ours to see", file(cpuDir+"cpufreq/boost", ""))
}

func siblings(h *host) Outcome {
	v := smt(h.tree)
	ev := file(cpuDir+"smt/active", h.text(cpuDir+"smt/active"))
	switch v {
	case "on":
		return no("threads share cores", ev)
	case "":
		return skip("not told", ev)
	}
	return yes(v, ev)
}

func hugePages(h *host) Outcome {
	const path = "/sys/kernel/mm/transparent_hugepage/enabled"
	v := chosen(h.text(path))
	switch v {
	case "":
		return skip("the kernel has none", file(path, ""))
	case "always":
		return no("always on", file(path, v))
	}
	return yes(v, file(path, v))
}

func numaBalancing(h *host) Outcome {
	const path = "/proc/sys/kernel/numa_balancing"
	v := h.text(path)
	switch v {
	case "":
		return skip("the kernel has none", file(path, ""))
	case "0":
		return yes("", file(path, v))
	}
	if count(h.text("/sys/devices/system/node/online")) == "1" {
		return skip("one node only", file("/sys/devices/system/node/online", "0"))
	}
	return no("it is on", file(path, v))
}

func irqbalance(h *host) Outcome {
	for _, dir := range []string{"/run/irqbalance.pid", "/run/irqbalance"} {
		if h.exists(dir) {
			return no("it runs", file(dir, "there"))
		}
	}
	if pid := h.process("irqbalance"); pid != "" {
		return no("it runs", file("/proc/"+pid+"/comm", "irqbalance"))
	}
	return yes("", file("/proc/*/comm", "no irqbalance"))
}

// process finds a process by its name.
func (h *host) process(name string) string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	var buf [32]byte
	for _, e := range entries {
		if n := e.Name(); n[0] >= '1' && n[0] <= '9' {
			if b, err := readHead("/proc/"+n+"/comm", buf[:]); err == nil && strings.TrimSpace(string(b)) == name {
				return n
			}
		}
	}
	return ""
}

func swapUsed(h *host) Outcome {
	info := h.text("/proc/meminfo")
	total, free := kilobytes(info, "SwapTotal"), kilobytes(info, "SwapFree")
	ev := file("/proc/meminfo", fmt.Sprintf("SwapTotal %d kB, SwapFree %d kB", total, free))
	if total-free > total/100 {
		return no(fmt.Sprintf("%d MiB are swapped out", (total-free)>>10), ev)
	}
	return yes("", ev)
}

func clockSource(h *host) Outcome {
	const path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
	switch v := h.text(path); v {
	case "hpet", "acpi_pm", "jiffies", "refined-jiffies":
		return no(v+" is slow", file(path, v))
	case "":
		return skip("not told", file(path, ""))
	default:
		return yes(v, file(path, v))
	}
}
