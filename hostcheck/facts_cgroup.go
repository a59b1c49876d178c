package hostcheck

import "strings"

// cgroupFacts says which hierarchy each controller is on: "v1", "v2", or
// "disabled" (cgroup_disable=), "unmounted" where it is on neither. The layout
// is "v2", "v1", or "hybrid": controllers on v1 and a v2 tree beside them.
// Sources: cgroups(7); Documentation/admin-guide/cgroup-v1/cgroups.rst.
func cgroupFacts(t tree, _ inventory) map[string]string {
	h := readHierarchies(t)
	f := map[string]string{"cgroup.layout": h.layout(), "cgroup.v2_mount": h.v2}
	for name, c := range h.controllers {
		f["cgroup."+name] = c.where()
	}
	return f
}

// hierarchies are the cgroup file systems of a host.
type hierarchies struct {
	v2          string // mount point of the unified tree, "" if not mounted
	controllers map[string]controller
}

// controller is one resource controller and where it can be reached.
type controller struct {
	v1       string // mount point of its v1 hierarchy, "" if not mounted
	v2       bool   // listed in the unified root's cgroup.controllers
	known    bool   // the kernel was built with it, as /proc/cgroups tells
	disabled bool   // by cgroup_disable= on the kernel's command line
}

func (c controller) where() string {
	switch {
	case c.v1 != "":
		return "v1"
	case c.v2:
		return "v2"
	case c.disabled:
		return "disabled"
	}
	return "unmounted"
}

func (h hierarchies) layout() string {
	v1 := false
	for _, c := range h.controllers {
		v1 = v1 || c.v1 != ""
	}
	switch {
	case v1 && h.v2 != "":
		return "hybrid"
	case v1:
		return "v1"
	case h.v2 != "":
		return "v2"
	}
	return ""
}

// v2Names gives the names that v1's controllers have in the unified tree.
// Some need none: cpuacct is part of cpu, freezer and devices have no
// controller there (cgroup.freeze, BPF programs).
var v2Names = map[string]string{"blkio": "io"}

func readHierarchies(t tree) hierarchies {
	h := hierarchies{controllers: map[string]controller{}}
	// /proc/cgroups lists v1's view: from Linux 6.11 and 6.12 on it leaves out
	// memory and cpuset where MEMCG_V1 and CPUSETS_V1 are off.
	for line := range strings.Lines(t.text("/proc/cgroups")) {
		fields := strings.Fields(line)
		if len(fields) == 4 && !strings.HasPrefix(line, "#") {
			h.controllers[fields[0]] = controller{known: true, disabled: fields[3] == "0"}
		}
	}
	for _, m := range mounts(t) {
		switch m.fsType {
		case "cgroup2":
			if h.v2 == "" {
				h.v2 = m.point
			}
		case "cgroup":
			for opt := range strings.SplitSeq(m.super, ",") {
				if c, ok := h.controllers[opt]; ok || v1Controllers[opt] {
					if c.v1 == "" {
						c.v1 = m.point
					}
					h.controllers[opt] = c
				}
			}
		}
	}
	if h.v2 != "" {
		for _, name := range strings.Fields(t.text(h.v2 + "/cgroup.controllers")) {
			for v1, v2 := range v2Names {
				if name == v2 {
					name = v1
				}
			}
			c := h.controllers[name]
			c.v2 = true
			h.controllers[name] = c
		}
	}
	return h
}

// v1Controllers are the mount options of a v1 hierarchy that name a
// controller (cgroups(7)); others are flags, as "xattr" and "name=systemd".
var v1Controllers = map[string]bool{
	"cpuset": true, "cpu": true, "cpuacct": true, "blkio": true, "memory": true, "devices": true, "freezer": true,
	"net_cls": true, "net_prio": true, "perf_event": true, "hugetlb": true, "pids": true, "rdma": true, "misc": true,
}
