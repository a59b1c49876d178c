package runtimes

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"plimsoll/isolate/cgroup"
)

// bundle is the config.json of an instance: the same namespaces, mounts,
// capabilities and limits as isolate's full rung. The network namespace is the
// one at that path, or one of its own.
func (o *oci) bundle(i Instance, netns string) *specs.Spec {
	caps := dockerCapabilities
	s := &specs.Spec{
		Version:  "1.0.2", // the oldest that says all we need: every runtime takes it
		Hostname: "plimsoll",
		Root:     &specs.Root{Path: i.Root.Path, Readonly: i.Root.ReadOnly},
		Process: &specs.Process{
			Args: append([]string{i.Path}, i.Args...), Env: i.Env, Cwd: "/", NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "nodev", "noexec", "ro"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=64k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "nodev", "noexec", "mode=1777", "size=64m"}},
		},
		Linux: &specs.Linux{
			CgroupsPath: filepath.Join(o.group, i.ID),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.IPCNamespace}, {Type: specs.CgroupNamespace},
			},
			Resources: o.resources(i.Limits),
		},
	}
	if i.Data != "" {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/data", Source: i.Data, Options: []string{"bind", "rw"}})
	}
	if i.Network != "host" {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: netns})
	}
	return s
}

// dockerCapabilities is isolate.DockerDefault by name.
var dockerCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

func (o *oci) resources(l cgroup.Limits) *specs.LinuxResources {
	r := &specs.LinuxResources{}
	if l.CPU != 0 || l.CPUWeight != 0 || l.CPUSet != "" || l.Mems != "" {
		r.CPU = &specs.LinuxCPU{Cpus: l.CPUSet, Mems: l.Mems}
		if l.CPU != 0 {
			period := uint64(l.Period())
			quota := int64(math.Round(l.CPU * float64(period)))
			r.CPU.Period, r.CPU.Quota = &period, &quota
		}
		if l.CPUWeight != 0 {
			shares := uint64(cgroup.SharesFromWeight(l.CPUWeight))
			r.CPU.Shares = &shares
		}
	}
	if l.Memory != 0 {
		r.Memory = &specs.LinuxMemory{Limit: &l.Memory}
	}
	if l.Swap != 0 {
		sum := l.Memory + max(0, l.Swap) // as version 1 counts
		r.Memory.Swap = &sum
	}
	for _, h := range l.Hugetlb {
		r.HugepageLimits = append(r.HugepageLimits, specs.LinuxHugepageLimit{Pagesize: h.PageName(), Limit: uint64(h.Max)})
	}
	if l.PIDs != 0 {
		r.Pids = &specs.LinuxPids{Limit: &l.PIDs}
	}
	if len(l.IO) > 0 || l.IOWeight != 0 {
		r.BlockIO = &specs.LinuxBlockIO{}
	}
	if l.IOWeight != 0 {
		weight := uint16(cgroup.BFQWeight(l.IOWeight))
		r.BlockIO.Weight = &weight
	}
	o.unify(r, l)
	for _, d := range l.IO {
		add := func(to *[]specs.LinuxThrottleDevice, rate int64) {
			if rate == 0 {
				return
			}
			major, minor, _ := strings.Cut(d.Device, ":")
			t := specs.LinuxThrottleDevice{Rate: uint64(rate)}
			t.Major, _ = strconv.ParseInt(major, 10, 64)
			t.Minor, _ = strconv.ParseInt(minor, 10, 64)
			*to = append(*to, t)
		}
		add(&r.BlockIO.ThrottleReadBpsDevice, d.ReadBPS)
		add(&r.BlockIO.ThrottleWriteBpsDevice, d.WriteBPS)
		add(&r.BlockIO.ThrottleReadIOPSDevice, d.ReadIOPS)
		add(&r.BlockIO.ThrottleWriteIOPSDevice, d.WriteIOPS)
	}
	return r
}

// unify gives weights on version 2 by the names of its files. In OCI's own
// terms, which are version 1's, a runtime would convert them by a formula that
// keeps no ratio, and its containers would have other shares than ours: see
// cgroup.SharesFromWeight.
func (o *oci) unify(r *specs.LinuxResources, l cgroup.Limits) {
	if o.run == nil {
		return
	}
	values, _ := o.run.Values(l) // whether they can be had was found out before
	for _, v := range values {
		switch v.File {
		case "cpu.weight":
			r.CPU.Shares = nil
		case "io.weight":
			r.BlockIO.Weight = nil
		default:
			continue
		}
		if r.Unified == nil {
			r.Unified = map[string]string{}
		}
		r.Unified[v.File] = v.Data
	}
}
