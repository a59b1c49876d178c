// Package hostcheck says what a host is, whether it is ready to run
// containers, and how quiet it is.
//
// [Facts] describes the host in a flat map, for a journal's header.
// [ReadNoise] samples, around a trial, what disturbs a measurement.
// [Run] tries what containers need and gives verdicts with their evidence.
package hostcheck

import (
	"runtime"
	"strconv"
	"strings"
)

// Facts describes the host whose files are under root: "/" for this one. For
// each of dirs it adds the file system that holds it, as fs.0.type and so on,
// in the order given. Names begin with kernel., os., init., cpu., numa.,
// memory., virtualization, container, machine., cgroup., lsm, userns.,
// limits., user., capabilities, tool. and fs.N. Numbers are decimal, sizes in
// bytes, lists separated by spaces. What cannot be read is absent: a fact is
// never guessed. No process is started, and nothing secret is taken: of the
// kernel's command line only the parameters in [cmdlineShown].
func Facts(root string, dirs ...string) map[string]string {
	return facts(tree(root), newGopsutil(root), dirs)
}

func facts(t tree, inv inventory, dirs []string) map[string]string {
	f := map[string]string{}
	for _, read := range []func(tree, inventory) map[string]string{
		kernelFacts, osFacts, cpuFacts, memoryFacts, virtualizationFacts,
		cgroupFacts, securityFacts, processFacts, toolFacts,
	} {
		add(f, "", read(t, inv))
	}
	for i, dir := range dirs {
		add(f, "fs."+strconv.Itoa(i)+".", directoryFacts(t, dir))
	}
	return f
}

// add copies the facts that have a value.
func add(f map[string]string, prefix string, more map[string]string) {
	for k, v := range more {
		if v != "" {
			f[prefix+k] = v
		}
	}
}

// BootID identifies the current boot of the host under root, "" if unknown:
// two records with the same one were made without a reboot between.
func BootID(root string) string {
	return tree(root).text("/proc/sys/kernel/random/boot_id")
}

func kernelFacts(t tree, _ inventory) map[string]string {
	return map[string]string{
		"kernel.release":       t.text("/proc/sys/kernel/osrelease"),
		"kernel.version":       t.text("/proc/sys/kernel/version"),
		"kernel.arch":          machine(t),
		"kernel.cmdline":       strings.Join(shown(t.text("/proc/cmdline")), " "),
		"kernel.pid_max":       t.text("/proc/sys/kernel/pid_max"),
		"kernel.threads_max":   t.text("/proc/sys/kernel/threads-max"),
		"kernel.boot_id":       BootID(string(t)),
		"kernel.clocksource":   t.text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		"kernel.mitigations":   vulnerabilities(t),
		"kernel.preempt":       preemption(t),
		"kernel.sched_rt_us":   t.text("/proc/sys/kernel/sched_rt_runtime_us"),
		"kernel.perf_paranoid": t.text("/proc/sys/kernel/perf_event_paranoid"),
	}
}

// machine is uname -m: the file is there since Linux 6.1
// (Documentation/admin-guide/sysctl/kernel.rst, arch).
func machine(t tree) string {
	if s := t.text("/proc/sys/kernel/arch"); s != "" {
		return s
	}
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}

// cmdlineShown names the parameters of the kernel's command line that change
// what a container costs or may do. The others are left out: a command line
// may carry passwords.
var cmdlineShown = map[string]bool{
	"mitigations": true, "nosmt": true, "nopti": true, "pti": true, "spectre_v2": true, "retbleed": true,
	"cgroup_disable": true, "cgroup_enable": true, "cgroup_no_v1": true, "cgroup.memory": true, "swapaccount": true,
	"systemd.unified_cgroup_hierarchy": true, "psi": true, "isolcpus": true, "nohz": true, "nohz_full": true,
	"rcu_nocbs": true, "irqaffinity": true, "transparent_hugepage": true, "hugepages": true, "hugepagesz": true,
	"default_hugepagesz": true, "numa_balancing": true, "numa": true, "maxcpus": true, "nr_cpus": true, "mem": true,
	"intel_pstate": true, "amd_pstate": true, "intel_idle.max_cstate": true, "processor.max_cstate": true,
	"idle": true, "tsc": true, "clocksource": true, "preempt": true, "nomodule": true, "modules_disabled": true,
	"module_blacklist": true, "lsm": true, "security": true, "apparmor": true, "selinux": true, "lockdown": true,
	"rt_group_sched": true, "audit": true, "init_on_alloc": true, "init_on_free": true, "page_alloc.shuffle": true,
	"ia32_emulation": true, "vsyscall": true, "user_namespace.enable": true,
}

func shown(cmdline string) []string {
	var kept []string
	for _, p := range strings.Fields(cmdline) {
		if p == "--" { // the rest is init's
			break
		}
		name, _, _ := strings.Cut(p, "=")
		if cmdlineShown[name] {
			kept = append(kept, p)
		}
	}
	return kept
}

// vulnerabilities lists the processor's known weaknesses and whether each is
// mitigated, as "meltdown:PTI".
// Source: Documentation/ABI/testing/sysfs-devices-system-cpu.
func vulnerabilities(t tree) string {
	var out []string
	for _, p := range t.glob("/sys/devices/system/cpu/vulnerabilities/*") {
		state := t.text(p)
		if state == "" || state == "Not affected" {
			continue
		}
		state = strings.TrimPrefix(state, "Mitigation: ")
		state, _, _ = strings.Cut(state, ";")
		out = append(out, p[strings.LastIndexByte(p, '/')+1:]+":"+strings.ReplaceAll(state, " ", "_"))
	}
	return strings.Join(out, " ")
}

// preemption is the model in the version string: "PREEMPT_DYNAMIC".
func preemption(t tree) string {
	for _, w := range strings.Fields(t.text("/proc/sys/kernel/version")) {
		if strings.HasPrefix(w, "PREEMPT") {
			return w
		}
	}
	return ""
}

func osFacts(t tree, _ inventory) map[string]string {
	release := t.text("/etc/os-release")
	if release == "" {
		release = t.text("/usr/lib/os-release")
	}
	return map[string]string{
		"os.id":      field(release, "ID"),
		"os.name":    field(release, "NAME"),
		"os.version": field(release, "VERSION_ID"),
		"init.name":  t.text("/proc/1/comm"),
	}
}
