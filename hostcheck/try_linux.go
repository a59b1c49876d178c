package hostcheck

import (
	"fmt"
	"os"

	"plimsoll/hostcheck/probe"
)

// linkOptions gives the option and module that each kind of interface needs.
var linkOptions = map[string][2]string{
	"veth": {"VETH", "veth"}, "bridge": {"BRIDGE", "bridge"}, "vxlan": {"VXLAN", "vxlan"},
	"macvlan": {"MACVLAN", "macvlan"}, "ipvlan": {"IPVLAN", "ipvlan"}, "dummy": {"DUMMY", "dummy"},
	"ifb": {"IFB", "ifb"}, "wireguard": {"WIREGUARD", "wireguard"},
}

// tryNetwork makes in a scratch namespace what would load no module.
func (h *host) tryNetwork() probe.Net {
	w := probe.Wanted{Links: map[string]bool{}}
	for kind, need := range linkOptions {
		_, w.Links[kind] = h.ready(need[0], need[1])
	}
	// macvlan and ipvlan stand on the ends of a veth pair.
	w.Links["macvlan"] = w.Links["macvlan"] && w.Links["veth"]
	w.Links["ipvlan"] = w.Links["ipvlan"] && w.Links["veth"]
	_, w.Nft = h.ready("NF_TABLES", "nf_tables")
	if w.Nft {
		_, w.Nft = h.ready("NFT_NAT", "nft_chain_nat")
	}
	_, w.IPTables = h.ready("IP_NF_NAT", "iptable_nat")
	if w.IPTables {
		_, w.IPTables = h.ready("IP_NF_FILTER", "iptable_filter")
	}
	return probe.Network(h.privileged, w)
}

// scratchAnswers are those of a directory of our own on the data directory's
// file system.
type scratchAnswers struct {
	made    error
	reflink error
	dtype   bool
	dtypeOK error
	quota   error
	overlay error // as we are
	user    error // in a user namespace
}

// errOverlayModule stands for an overlay that was not tried.
var errOverlayModule = fmt.Errorf("not tried, for it would load the module")

func (h *host) tryDirectory() scratchAnswers {
	s, err := probe.NewScratch(h.dir)
	if err != nil {
		return scratchAnswers{made: err}
	}
	defer h.cleanup.Go(func() { s.Remove() })
	a := scratchAnswers{overlay: errOverlayModule, user: errOverlayModule}
	a.reflink = s.Reflink()
	a.dtype, a.dtypeOK = s.DType()
	a.quota = s.ProjectQuota()
	if _, ok := h.ready("OVERLAY_FS", "overlay"); ok {
		if h.privileged {
			a.overlay = s.Overlay(true)
		}
		a.user = s.Overlay(false)
		if !h.privileged {
			a.overlay = a.user
		}
	}
	return a
}

// leafAnswer is what a scratch cgroup said of one controller.
type leafAnswer struct {
	path    string
	err     error             // making it
	missing []string          // interface files that are not there
	refused map[string]error  // by file, limits that could not be set
	values  map[string]string // by file, what was read back
	device  error             // attaching a device program (v2)
	tried   bool
}

// controllerFiles are, per controller and version, the interface files that
// limits are set through, and a value that limits nothing of an empty cgroup.
// The CPU quota is set to none: a first quota makes the kernel patch its
// scheduler's code on every processor (cfs_bandwidth_usage_inc), which a check
// has no business to do.
var controllerFiles = []struct {
	name string
	v2   bool
	file string
	set  string // "" only looks
}{
	{"cpu", false, "cpu.shares", "512"}, {"cpu", false, "cpu.cfs_quota_us", "-1"},
	{"cpu", true, "cpu.weight", "50"}, {"cpu", true, "cpu.max", "max 100000"},
	{"cpuset", false, "cpuset.cpus", ""}, {"cpuset", false, "cpuset.mems", ""},
	{"cpuset", true, "cpuset.cpus", ""}, {"cpuset", true, "cpuset.mems", ""},
	{"memory", false, "memory.limit_in_bytes", "1073741824"},
	{"memory", true, "memory.max", "1073741824"}, {"memory", true, "memory.high", ""},
	{"pids", false, "pids.max", "100"}, {"pids", true, "pids.max", "100"},
	{"blkio", false, "blkio.throttle.read_bps_device", ""}, {"blkio", true, "io.max", ""},
	{"devices", false, "devices.deny", ""}, {"devices", false, "devices.allow", ""},
	{"freezer", false, "freezer.state", "THAWED"},
	{"cpuacct", false, "cpuacct.usage", ""},
}

// unified is the name under which the answers of the v2 tree's leaf are kept.
const unified = "unified"

// Clean removes what a check that was killed left in the hierarchies of
// cgroups. Every run does as much on its way.
func Clean() {
	for _, m := range mounts("/") {
		if m.fsType == "cgroup" || m.fsType == "cgroup2" {
			probe.Sweep(m.point)
		}
	}
}

// tryLeaves makes one cgroup in each hierarchy, looks for the interface files
// of its controllers, sets harmless limits and removes it.
func (h *host) tryLeaves() map[string]leafAnswer {
	answers := map[string]leafAnswer{}
	made := map[string]*probe.Leaf{}
	leaf := func(mount string) (*probe.Leaf, error) {
		if l := made[mount]; l != nil {
			return l, nil
		}
		l, err := probe.NewLeaf(mount)
		if err == nil {
			made[mount] = l
		}
		return l, err
	}
	defer func() {
		for _, l := range made {
			l.Remove()
		}
	}()
	for name, c := range h.hierarchies.controllers {
		mount, v2 := c.v1, false
		if mount == "" && c.v2 {
			mount, v2 = h.hierarchies.v2, true
		}
		if mount == "" {
			continue
		}
		answers[name] = tryController(name, v2, mount, leaf)
	}
	if h.hierarchies.v2 != "" {
		a := leafAnswer{path: h.hierarchies.v2, tried: true, values: map[string]string{}}
		var l *probe.Leaf
		if l, a.err = leaf(h.hierarchies.v2); a.err == nil {
			for _, f := range []string{"cgroup.freeze", "cgroup.kill", "cgroup.pressure", "memory.swap.max", "io.weight", "io.cost.qos"} {
				if !l.Has(f) {
					a.missing = append(a.missing, f)
				}
			}
			if h.privileged {
				a.device = l.DeviceProgram()
			} else {
				a.device = os.ErrPermission
			}
		}
		answers[unified] = a
	}
	return answers
}

func tryController(name string, v2 bool, mount string, leaf func(string) (*probe.Leaf, error)) leafAnswer {
	a := leafAnswer{path: mount, tried: true, refused: map[string]error{}, values: map[string]string{}}
	l, err := leaf(mount)
	if err != nil {
		a.err = err
		return a
	}
	for _, f := range controllerFiles {
		if f.name != name || f.v2 != v2 {
			continue
		}
		if !l.Has(f.file) {
			a.missing = append(a.missing, f.file)
			continue
		}
		if f.set == "" {
			continue
		}
		if err := l.Write(f.file, f.set); err != nil {
			a.refused[f.file] = err
		} else if v, err := l.Read(f.file); err == nil {
			a.values[f.file] = v
		}
	}
	return a
}
