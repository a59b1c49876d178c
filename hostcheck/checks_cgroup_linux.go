package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func cgroupChecks() []Check {
	return []Check{
		{ID: "cgroup.layout", Group: "cgroups", Title: "control groups are mounted", Why: "limits and accounting of every container",
			Needs: need("RRRRrRr"), Options: []string{"CGROUPS"}, probe: cgroupLayout,
			Fix: "boot with systemd.unified_cgroup_hierarchy=1, or: mount -t cgroup2 none /sys/fs/cgroup"},
		{ID: "cgroup.cpu", Group: "cgroups", Title: "limit CPU time", Why: "quotas and shares", Needs: need("RRRRoRr"),
			Options: []string{"CGROUP_SCHED", "FAIR_GROUP_SCHED", "CFS_BANDWIDTH"}, probe: controllerCheck("cpu")},
		{ID: "cgroup.cpuset", Group: "cgroups", Title: "bind to CPUs and memory nodes", Why: "--cpuset-cpus, static CPU policy", Needs: need("rrRroRr"),
			Options: []string{"CPUSETS"}, probe: controllerCheck("cpuset")},
		{ID: "cgroup.memory", Group: "cgroups", Title: "limit memory", Why: "one container must not starve the rest", Needs: need("RRRRrRr"),
			Options: []string{"MEMCG"}, probe: controllerCheck("memory")},
		{ID: "cgroup.pids", Group: "cgroups", Title: "limit the number of processes", Why: "a fork bomb stays inside", Needs: need("rrRrrrr"),
			Options: []string{"CGROUP_PIDS"}, probe: controllerCheck("pids")},
		{ID: "cgroup.io", Group: "cgroups", Title: "limit disk I/O", Why: "throttles by device", Needs: need("rrrrorr"),
			Options: []string{"BLK_CGROUP", "BLK_DEV_THROTTLING"}, probe: controllerCheck("blkio")},
		{ID: "cgroup.io-weight", Group: "cgroups", Title: "share disk I/O by weight", Why: "io.weight needs a proportional policy", Needs: need("ooooooo"),
			Options: []string{"BLK_CGROUP_IOCOST"}, probe: ioWeight},
		{ID: "cgroup.devices", Group: "cgroups", Title: "confine devices", Why: "a container opens only the devices it was given", Needs: need("RRRR-Ro"),
			Options: []string{"CGROUP_DEVICE", "CGROUP_BPF", "BPF_SYSCALL"}, probe: deviceControl},
		{ID: "cgroup.freezer", Group: "cgroups", Title: "freeze and thaw", Why: "docker pause; stopping every process at once", Needs: need("rrrrrrr"),
			Options: []string{"CGROUP_FREEZER"}, probe: freezer},
		{ID: "cgroup.kill", Group: "cgroups", Title: "kill a whole cgroup", Why: "cgroup.kill, Linux 5.14: nothing escapes by forking", Needs: need("ooooooo"),
			probe: unifiedFile("cgroup.kill", "Linux 5.14")},
		{ID: "cgroup.hugetlb", Group: "cgroups", Title: "limit huge pages", Needs: need("oooooo-"), Why: "hugepages as a resource",
			Options: []string{"CGROUP_HUGETLB"}, probe: controllerCheck("hugetlb")},
		{ID: "cgroup.perf", Group: "cgroups", Title: "count by cgroup", Why: "perf counters of one container", Needs: need("ooooooo"),
			Options: []string{"CGROUP_PERF"}, probe: perfEvents},
		{ID: "cgroup.swap", Group: "cgroups", Title: "limit swap", Why: "--memory-swap; without it a memory limit only pushes to swap", Needs: need("oooooor"),
			Options: []string{"SWAP", "MEMCG_SWAP"}, probe: swapAccounting, Fix: "boot with swapaccount=1"},
		{ID: "cgroup.psi", Group: "cgroups", Title: "pressure stall information", Why: "who waits for what; a noisy measurement is told by it", Needs: need("ooroo-r"),
			Options: []string{"PSI"}, probe: pressure, Fix: "boot with psi=1"},
		{ID: "cgroup.delegation", Group: "cgroups", Title: "controllers delegated to users", Why: "rootless containers have limits only where systemd delegates them", Needs: need("----r--"),
			Fix:   "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload",
			probe: delegation},
		{ID: "cgroup.rt", Group: "cgroups", Title: "no real-time group scheduling", Why: "with it on, real-time threads fail in every cgroup but the root of v2", Needs: need("ooooooo"),
			probe: realtimeGroups, Fix: "boot with rt_group_sched=0, or build with # CONFIG_RT_GROUP_SCHED is not set"},
	}
}

func cgroupLayout(h *host) Outcome {
	layout := h.hierarchies.layout()
	where := []string{}
	for _, m := range h.mounts {
		if m.fsType == "cgroup" || m.fsType == "cgroup2" {
			where = append(where, m.fsType+" on "+m.point)
		}
	}
	ev := file("/proc/self/mountinfo", strings.Join(where, ", "))
	switch layout {
	case "":
		return no("no hierarchy is mounted", ev)
	case "v2":
		return yes("unified (v2)", ev)
	case "hybrid":
		return yes("hybrid: controllers on v1, and a unified tree beside them", ev)
	}
	return yes("legacy (v1)", ev)
}

func controllerCheck(name string) func(*host) Outcome {
	return func(h *host) Outcome { return h.controller(name) }
}

// controller answers for one controller, from the hierarchy it is on.
func (h *host) controller(name string) Outcome {
	c, known := h.hierarchies.controllers[name]
	shown := name
	if n := v2Names[name]; n != "" && c.v1 == "" {
		shown = n
	}
	a := h.leaves()[name]
	switch {
	case !known && h.hierarchies.v2 == "":
		return no("the kernel has no controller "+name, file("/proc/cgroups", "no "+name))
	case !a.tried && c.disabled:
		return no("disabled on the kernel's command line (cgroup_disable="+name+")", file("/proc/cgroups", name+" enabled=0")).
			withFix("remove cgroup_disable=" + name + " from the kernel's command line; on a Raspberry Pi add cgroup_enable=" + name)
	case !a.tried && h.hierarchies.v2 != "" && !h.anyV1():
		return no("not in "+h.hierarchies.v2+"/cgroup.controllers", file(h.hierarchies.v2+"/cgroup.controllers", h.text(h.hierarchies.v2+"/cgroup.controllers")))
	case !a.tried && known:
		return partly("built in, but mounted on no hierarchy", file("/proc/cgroups", name+" hierarchy 0")).
			withFix(fmt.Sprintf("mkdir -p /sys/fs/cgroup/%s && mount -t cgroup -o %s cgroup /sys/fs/cgroup/%s", name, name, name))
	case !a.tried:
		return no("the kernel has no controller "+name, file("/proc/cgroups", "no "+name))
	}
	version := "v1"
	if c.v1 == "" {
		version = "v2"
	}
	if a.err != nil {
		return h.leafRefused(a, fmt.Sprintf("%s is there (%s), but no cgroup could be made to try it", shown, version))
	}
	var evidence []Evidence
	for f, v := range a.values {
		evidence = append(evidence, file(a.path+"/*/"+f, v))
	}
	slices.SortFunc(evidence, func(a, b Evidence) int { return strings.Compare(a.File, b.File) })
	for f, err := range a.refused {
		o := h.fromErrno("write "+f, err, "")
		o.Evidence = append(o.Evidence, evidence...)
		return o
	}
	if len(a.missing) > 0 && version == "v2" && len(a.values) == 0 && c.v2 {
		// The files appear once a parent enables the controller for its children,
		// which whoever manages the tree does: systemd, or the runtime.
		return yes("on v2; not enabled for children yet, whoever makes cgroups enables it",
			file(a.path+"/cgroup.controllers", shown), file(a.path+"/cgroup.subtree_control", h.text(a.path+"/cgroup.subtree_control")))
	}
	if len(a.missing) > 0 {
		return partly(shown+" is there ("+version+"), but has no "+strings.Join(a.missing, ", "), append(evidence, file(a.path, "mkdir; "+a.missing[0]+" not there"))...)
	}
	return yes("on "+version+" at "+a.path, append(evidence, call("mkdir "+a.path+"/checkconfig-*", nil))...)
}

func (h *host) anyV1() bool { l := h.hierarchies.layout(); return l == "v1" || l == "hybrid" }

// leafRefused is the answer where no scratch cgroup can be made. Being an
// ordinary user says nothing of the host.
func (h *host) leafRefused(a leafAnswer, detail string) Outcome {
	o := cannotTell(detail, call("mkdir "+a.path, a.err)).withFix(h.howToKnow())
	if errors.Is(a.err, unix.EROFS) && h.contained == "none" {
		o.Fix = "mount -o remount,rw " + a.path
	}
	if !errors.Is(a.err, fs.ErrPermission) && !errors.Is(a.err, unix.EROFS) {
		o.Answer = No
	}
	return o
}

func unifiedFile(name, since string) func(*host) Outcome {
	return func(h *host) Outcome {
		a := h.leaves()[unified]
		switch {
		case !a.tried:
			return skip("there is no unified hierarchy", file("/proc/self/mountinfo", "no cgroup2"))
		case a.err != nil:
			return h.leafRefused(a, "no cgroup could be made to look")
		case slices.Contains(a.missing, name):
			return no(since+" has it", file(a.path+"/*/"+name, ""))
		}
		return yes("there", file(a.path+"/*/"+name, "there"))
	}
}

func ioWeight(h *host) Outcome {
	c := h.hierarchies.controllers["blkio"]
	switch {
	case c.v1 != "":
		for _, f := range []string{"blkio.weight", "blkio.bfq.weight"} {
			if h.exists(c.v1 + "/" + f) {
				return yes("on v1", file(c.v1+"/"+f, h.text(c.v1+"/"+f)))
			}
		}
		return no("neither CFQ's nor BFQ's weights are there", file(c.v1+"/blkio.bfq.weight", ""))
	case c.v2:
		for _, f := range []string{"io.cost.qos", "io.bfq.weight", "io.weight"} {
			if h.exists(h.hierarchies.v2 + "/" + f) {
				return yes("on v2", file(h.hierarchies.v2+"/"+f, "there"))
			}
		}
		return no("no cost model: io.weight has no effect", file(h.hierarchies.v2+"/io.cost.qos", ""))
	}
	return no("no controller", file("/proc/cgroups", "no blkio"))
}

// deviceControl is a controller on v1, a BPF program on v2.
func deviceControl(h *host) Outcome {
	if h.hierarchies.controllers["devices"].v1 != "" {
		return h.controller("devices")
	}
	a := h.leaves()[unified]
	if !a.tried {
		return no("neither the v1 controller nor a unified hierarchy", file("/proc/self/mountinfo", "no cgroup2"))
	}
	if a.err != nil {
		return h.leafRefused(a, "no cgroup could be made to attach a program to")
	}
	if errors.Is(a.device, fs.ErrPermission) {
		return cannotTell("attaching a device program needs privilege", call("bpf(BPF_PROG_ATTACH, CGROUP_DEVICE)", unix.EPERM)).withFix(h.howToKnow())
	}
	o := h.fromErrno("bpf(BPF_PROG_ATTACH, BPF_CGROUP_DEVICE)", a.device, "a BPF program was attached to a scratch cgroup")
	if o.Answer == No {
		o.Fix = "build the kernel with CONFIG_CGROUP_BPF=y and CONFIG_BPF_SYSCALL=y (device programs: Linux 4.15)"
	}
	return o
}

func freezer(h *host) Outcome {
	if h.hierarchies.controllers["freezer"].v1 != "" {
		return h.controller("freezer")
	}
	o := unifiedFile("cgroup.freeze", "Linux 5.2")(h)
	if o.Answer == NotRelevant {
		return no("neither the v1 controller nor a unified hierarchy", o.Evidence...)
	}
	return o
}

func perfEvents(h *host) Outcome {
	c, known := h.hierarchies.controllers["perf_event"]
	switch {
	case c.v1 != "" || c.v2:
		return yes("on "+c.where(), file("cgroup", c.where()))
	case c.disabled:
		return no("disabled on the kernel's command line", file("/proc/cgroups", "perf_event enabled=0"))
	case known:
		// On v2 it is an implicit controller: every cgroup has it (cgroup-v2.rst).
		if h.hierarchies.v2 != "" {
			return yes("implicit in the unified hierarchy", file("/proc/cgroups", "perf_event"))
		}
		return partly("built in, but mounted on no hierarchy", file("/proc/cgroups", "perf_event hierarchy 0"))
	}
	return no("the kernel has no controller perf_event", file("/proc/cgroups", "no perf_event"))
}

func swapAccounting(h *host) Outcome {
	c := h.hierarchies.controllers["memory"]
	switch {
	case c.v1 != "":
		f := c.v1 + "/memory.memsw.limit_in_bytes"
		if h.exists(f) {
			return yes("on v1", file(f, "there"))
		}
		return no("memory.memsw is not there", file(f, ""))
	case c.v2:
		a := h.leaves()[unified]
		if a.err != nil {
			return h.leafRefused(a, "no cgroup could be made to look")
		}
		if slices.Contains(a.missing, "memory.swap.max") {
			if !slices.Contains(strings.Fields(h.text(a.path+"/cgroup.subtree_control")), "memory") {
				return cannotTell("memory is not enabled for children of the root, so its files are not there to see",
					file(a.path+"/cgroup.subtree_control", h.text(a.path+"/cgroup.subtree_control")))
			}
			return no("memory.swap.max is not there", file(a.path+"/*/memory.swap.max", ""))
		}
		return yes("on v2", file(a.path+"/*/memory.swap.max", "there"))
	}
	return no("no memory controller", file("/proc/cgroups", "no memory"))
}

// pressure reads, since the file is there but answers EOPNOTSUPP where PSI is
// built in and not switched on.
func pressure(h *host) Outcome {
	var buf [256]byte
	_, err := readHead("/proc/pressure/cpu", buf[:])
	switch {
	case err == nil:
		return yes("counted", file("/proc/pressure/cpu", "readable"))
	case errors.Is(err, unix.EOPNOTSUPP):
		return no("built in, and off by default (PSI_DEFAULT_DISABLED)", call("read(/proc/pressure/cpu)", err))
	case errors.Is(err, fs.ErrNotExist):
		return no("not built in, or off by default", file("/proc/pressure", "")).withFix("boot with psi=1; if that changes nothing, build the kernel with CONFIG_PSI=y")
	}
	return h.fromErrno("read(/proc/pressure/cpu)", err, "")
}

// delegation looks at what systemd gave to the user's manager.
func delegation(h *host) Outcome {
	if h.hierarchies.layout() != "v2" {
		return no("only cgroup v2 can be delegated to users", file("cgroup.layout", h.hierarchies.layout())).
			withFix("boot with systemd.unified_cgroup_hierarchy=1")
	}
	managers := h.glob(h.hierarchies.v2 + "/user.slice/user-*.slice/user@*.service/cgroup.controllers")
	if len(managers) == 0 {
		return cannotTell("no user is logged in through systemd", file(h.hierarchies.v2+"/user.slice", "")).withFix("loginctl enable-linger USER")
	}
	have := strings.Fields(h.text(managers[0]))
	var lacking []string
	for _, c := range []string{"cpu", "memory", "pids"} {
		if !slices.Contains(have, c) {
			lacking = append(lacking, c)
		}
	}
	ev := file(managers[0], strings.Join(have, " "))
	if len(lacking) > 0 {
		return partly("not delegated: "+strings.Join(lacking, ", "), ev)
	}
	return yes("delegated: "+strings.Join(have, ", "), ev)
}

func realtimeGroups(h *host) Outcome {
	// cpu.rt_runtime_us exists on v1 exactly where group scheduling is on; on
	// v2 only the configuration and the boot parameter tell.
	if v1 := h.hierarchies.controllers["cpu"].v1; v1 != "" {
		if h.exists(v1 + "/cpu.rt_runtime_us") {
			return partly("it is on: a container needs a share of cpu.rt_runtime_us for real-time threads", file(v1+"/cpu.rt_runtime_us", h.text(v1+"/cpu.rt_runtime_us")))
		}
		return yes("it is off", file(v1+"/cpu.rt_runtime_us", ""))
	}
	config, _ := h.config()
	switch {
	case config == nil:
		return cannotTell("the kernel's configuration cannot be read")
	case !config.On("RT_GROUP_SCHED"):
		return yes("it is off", file(config.Source, "CONFIG_RT_GROUP_SCHED is "+valueShown(config.Value("RT_GROUP_SCHED"))))
	case strings.Contains(h.cmdline, "rt_group_sched=0"),
		config.On("RT_GROUP_SCHED_DEFAULT_DISABLED") && !strings.Contains(h.cmdline, "rt_group_sched=1"):
		return yes("built in, and off", file("/proc/cmdline", "rt_group_sched"))
	}
	return partly("it is on: SCHED_FIFO answers EPERM in every cgroup but the root", file(config.Source, "CONFIG_RT_GROUP_SCHED=y"))
}
