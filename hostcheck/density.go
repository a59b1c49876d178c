package hostcheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is what one container of a kind takes of the host's limited things.
// The figures are estimates of an idle one, and name their source.
type Kind struct {
	Use     Use
	Text    string // what it is
	Demands map[string]float64
}

// kinds by use. Sources of the figures: the shim of containerd is a Go program
// of about 11 threads and 10 MiB that opens some 30 files, conmon a C program
// of 2 threads and 1 MiB; a pod adds the pause container; an LXC container
// boots systemd: about 25 processes, 60 MiB, 5 ptys, 30 inotify watches and
// some 10 instances.
var kinds = []Kind{
	{"docker", "one idle process behind a shim, with veth on one bridge", map[string]float64{
		"tasks": 12, "memory": 16 << 20, "files": 40, "netns": 1, "mntns": 1, "bridge ports": 1, "addresses": 1, "keys": 1, "key bytes": 22, "memcgs": 1,
		"neighbours": 1, "seccomp filters": 1, "mounts": 3, "daemon files": 12, "connections": 16}},
	{"containerd", "one idle process behind a shim", map[string]float64{
		"tasks": 12, "memory": 16 << 20, "files": 40, "netns": 1, "mntns": 1, "keys": 1, "key bytes": 22, "memcgs": 1, "seccomp filters": 1, "mounts": 3, "daemon files": 8}},
	{"kubernetes", "a pod of one container and its pause", map[string]float64{
		"tasks": 14, "memory": 20 << 20, "files": 50, "netns": 1, "mntns": 2, "bridge ports": 1, "keys": 2, "key bytes": 44, "memcgs": 4,
		"neighbours": 1, "inotify instances": 1, "seccomp filters": 2, "mounts": 8, "daemon files": 16, "connections": 64}},
	{"podman", "one idle process behind conmon, with veth on one bridge", map[string]float64{
		"tasks": 3, "memory": 4 << 20, "files": 20, "netns": 1, "mntns": 1, "bridge ports": 1, "addresses": 1, "keys": 1, "key bytes": 22, "memcgs": 1,
		"neighbours": 1, "seccomp filters": 1, "mounts": 4}},
	{"podman-rootless", "one idle process behind conmon and pasta", map[string]float64{
		"tasks": 4, "memory": 8 << 20, "files": 25, "netns": 1, "mntns": 1, "userns": 1, "user keys": 1, "user key bytes": 22, "memcgs": 1, "seccomp filters": 1}},
	{"lxc", "a system container with systemd", map[string]float64{
		"tasks": 25, "memory": 60 << 20, "files": 400, "netns": 1, "mntns": 5, "userns": 1, "bridge ports": 1, "ptys": 5, "keys": 5, "key bytes": 200, "memcgs": 20,
		"neighbours": 2, "inotify instances": 10, "inotify watches": 30, "seccomp filters": 1, "mounts": 5}},
	{"bench", "one idle process of this program's own engine, without a shim", map[string]float64{
		"tasks": 1, "memory": 512 << 10, "files": 1, "netns": 1, "mntns": 1, "memcgs": 1}},
}

// Limit is one of the host's limited things.
type Limit struct {
	Name  string  `json:"name"`
	Limit float64 `json:"limit"`
	Used  float64 `json:"used"`
	From  string  `json:"from"` // file or constant that sets it
	Raise string  `json:"raise"`
}

// Wall is how many containers one limit allows.
type Wall struct {
	Limit
	Each float64 `json:"each"` // taken by one container
	Most int64   `json:"most"`
}

// Density says how many containers of a kind a host holds, and what stops it.
type Density struct {
	Use   Use    `json:"use"`
	Kind  string `json:"kind"`
	Most  int64  `json:"most"`
	Wall  string `json:"wall"` // name of the first limit that is reached
	From  string `json:"from"`
	Raise string `json:"raise"`
	Walls []Wall `json:"walls"` // all, the nearest first
}

// Estimate divides what is free of every limit by what one container takes.
// A limit that is absent from limits stops nothing.
func Estimate(kind Kind, limits []Limit) Density {
	d := Density{Use: kind.Use, Kind: kind.Text}
	for _, l := range limits {
		each := kind.Demands[l.Name]
		if each <= 0 {
			continue
		}
		d.Walls = append(d.Walls, Wall{l, each, int64(max(l.Limit-l.Used, 0) / each)})
	}
	slices.SortStableFunc(d.Walls, func(a, b Wall) int { return int(min(max(a.Most-b.Most, -1), 1)) })
	if len(d.Walls) > 0 {
		w := d.Walls[0]
		d.Most, d.Wall, d.From, d.Raise = w.Most, w.Name, w.From, w.Raise
	}
	return d
}

func kindOf(u Use) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Use == u })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// limitFiles are limits that are one number in a file, and the file that
// tells how much of it is used.
var limitFiles = []struct {
	name, path, used, raise string
}{
	{"tasks", "/proc/sys/kernel/pid_max", "", "sysctl -w kernel.pid_max=4194304"},
	{"tasks", "/proc/sys/kernel/threads-max", "", "sysctl -w kernel.threads-max=1000000"},
	{"netns", "/proc/sys/user/max_net_namespaces", "", "sysctl -w user.max_net_namespaces=1000000"},
	{"mntns", "/proc/sys/user/max_mnt_namespaces", "", "sysctl -w user.max_mnt_namespaces=1000000"},
	{"userns", "/proc/sys/user/max_user_namespaces", "", "sysctl -w user.max_user_namespaces=1000000"},
	{"inotify instances", "/proc/sys/fs/inotify/max_user_instances", "", "sysctl -w fs.inotify.max_user_instances=8192"},
	{"inotify watches", "/proc/sys/fs/inotify/max_user_watches", "", "sysctl -w fs.inotify.max_user_watches=1048576"},
	{"keys", "/proc/sys/kernel/keys/root_maxkeys", "", "sysctl -w kernel.keys.root_maxkeys=1000000"},
	{"key bytes", "/proc/sys/kernel/keys/root_maxbytes", "", "sysctl -w kernel.keys.root_maxbytes=25000000"},
	{"user keys", "/proc/sys/kernel/keys/maxkeys", "", "sysctl -w kernel.keys.maxkeys=20000"},
	{"user key bytes", "/proc/sys/kernel/keys/maxbytes", "", "sysctl -w kernel.keys.maxbytes=2000000"},
	{"ptys", "/proc/sys/kernel/pty/max", "/proc/sys/kernel/pty/nr", "sysctl -w kernel.pty.max=65536"},
	{"connections", "/proc/sys/net/netfilter/nf_conntrack_max", "/proc/sys/net/netfilter/nf_conntrack_count", "sysctl -w net.netfilter.nf_conntrack_max=1048576"},
	{"neighbours", "/proc/sys/net/ipv4/neigh/default/gc_thresh3", "", "sysctl -w net.ipv4.neigh.default.gc_thresh1=8192 net.ipv4.neigh.default.gc_thresh2=32768 net.ipv4.neigh.default.gc_thresh3=65536"},
	{"daemon files", "/proc/sys/fs/nr_open", "", "sysctl -w fs.nr_open=10000000, and LimitNOFILE= of the engine's service"},
	{"mounts", "/proc/sys/fs/mount-max", "", "sysctl -w fs.mount-max=1000000"},
}

// readLimits gathers every limit of the host under t.
func readLimits(t tree) []Limit {
	var limits []Limit
	tasks := runningTasks(t.text("/proc/loadavg"))
	for _, f := range limitFiles {
		n, ok := t.number(f.path)
		if !ok {
			continue
		}
		l := Limit{Name: f.name, Limit: float64(n), From: f.path, Raise: f.raise}
		if used, ok := t.number(f.used); f.used != "" && ok {
			l.Used = float64(used)
		}
		switch f.name {
		case "tasks":
			l.Used = tasks
		case "mounts":
			l.Used = float64(len(mounts(t)))
		}
		limits = append(limits, l)
	}
	limits = append(limits, fileLimit(t)...)
	limits = append(limits, memoryLimits(t)...)
	limits = append(limits, pidsLimit(t, tasks)...)
	limits = append(limits,
		// BR_MAX_PORTS is 1 << 10 and port numbers begin at 1 (net/bridge/br_private.h).
		Limit{"bridge ports", 1023, 0, "net/bridge: BR_MAX_PORTS", "spread the containers over several bridges (networks), or use ipvlan"},
		// Docker's and Podman's default network is a /16: its network, broadcast and gateway addresses are taken.
		Limit{"addresses", 65533, 0, "the default network's /16", "a larger subnet, or several networks"},
		// MEM_CGROUP_ID_MAX is USHRT_MAX (mm/memcontrol.c); a removed group keeps its id while pages are charged to it.
		Limit{"memcgs", 65535, memoryCgroups(t), "mm/memcontrol.c: MEM_CGROUP_ID_MAX", "one host more: this bound is the kernel's"})
	if n, ok := t.number("/sys/module/loop/parameters/max_loop"); ok {
		if n == 0 {
			n = 1 << 20 // made on demand, up to the number of minors
		}
		limits = append(limits, Limit{"loop devices", float64(n), float64(len(t.glob("/sys/block/loop*/loop"))), "/sys/module/loop/parameters/max_loop", "boot with max_loop=256, or modprobe loop max_loop=256"})
	}
	if bytes, ok := t.number("/proc/sys/net/core/bpf_jit_limit"); ok && t.text("/proc/sys/net/core/bpf_jit_enable") != "0" {
		// A seccomp filter such as Docker's default is one page or two of code,
		// allocated in packs.
		limits = append(limits, Limit{"seccomp filters", float64(bytes) / 8192, 0, "/proc/sys/net/core/bpf_jit_limit", "sysctl -w net.core.bpf_jit_limit=4294967296"})
	}
	return limits
}

// runningTasks is the second number of "1/234" in /proc/loadavg.
func runningTasks(loadavg string) float64 {
	if f := strings.Fields(loadavg); len(f) > 3 {
		_, all, _ := strings.Cut(f[3], "/")
		n, _ := strconv.ParseFloat(all, 64)
		return n
	}
	return 0
}

// fileLimit is fs.file-max; file-nr's first number is what is open.
func fileLimit(t tree) []Limit {
	f := strings.Fields(t.text("/proc/sys/fs/file-nr"))
	if len(f) != 3 {
		return nil
	}
	used, _ := strconv.ParseFloat(f[0], 64)
	limit, _ := strconv.ParseFloat(f[2], 64)
	return []Limit{{"files", limit, used, "/proc/sys/fs/file-max", "sysctl -w fs.file-max=10000000"}}
}

func memoryLimits(t tree) []Limit {
	info := t.text("/proc/meminfo")
	total, free := kilobytes(info, "MemTotal"), kilobytes(info, "MemAvailable")
	if total == 0 {
		return nil
	}
	return []Limit{{"memory", float64(total) * 1024, float64(total-free) * 1024, "/proc/meminfo", "more memory, or smaller containers"}}
}

// pidsLimit is what systemd gives to all of system.slice's services, where the
// engines run; DefaultTasksMax bounds each alone.
func pidsLimit(t tree, tasks float64) []Limit {
	for _, path := range []string{"/sys/fs/cgroup/system.slice/pids.max", "/sys/fs/cgroup/pids/system.slice/pids.max"} {
		if n, ok := t.number(path); ok {
			return []Limit{{"tasks", float64(n), tasks, path, "systemctl set-property system.slice TasksMax=infinity"}}
		}
	}
	return nil
}

func memoryCgroups(t tree) float64 {
	for line := range strings.Lines(t.text("/proc/cgroups")) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "memory" {
			n, _ := strconv.ParseFloat(f[2], 64)
			return n
		}
	}
	return 0
}

func (d Density) String() string {
	if d.Wall == "" {
		return "how many containers the host holds cannot be told: no limit could be read"
	}
	return fmt.Sprintf("holds at most %s containers of this kind (%s); the first wall is %s (%s)", Thousands(d.Most), d.Kind, d.Wall, d.From)
}

// Thousands writes 1,234,567.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
