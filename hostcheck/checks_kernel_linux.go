package hostcheck

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/probe"
)

func kernelChecks() []Check {
	return []Check{
		{ID: "kernel.version", Group: "kernel", Title: "kernel release", Why: "runtimes are built for recent kernels", Needs: need("RRRRRRR"),
			Fix: "upgrade the kernel", probe: kernelRelease},
		{ID: "kernel.config", Group: "kernel", Title: "kernel configuration can be read", Why: "it explains what a probe found", Needs: need("ooooooo"),
			Fix: "build the kernel with CONFIG_IKCONFIG_PROC=y, or install /boot/config-$(uname -r)", probe: kernelConfig},
		{ID: "kernel.modules", Group: "kernel", Title: "modules can be loaded", Why: "what is built as a module must be loadable when it is first used", Needs: need("rrrr-ro"),
			probe: moduleLoading},
		{ID: "sys.clone3", Group: "kernel", Title: "clone3", Why: "starting a process in its cgroup (Linux 5.3)", Needs: need("ooooooo"), probe: tried(probe.Clone3)},
		{ID: "sys.pidfd", Group: "kernel", Title: "pidfd", Why: "signalling without mistaking one process for another (Linux 5.3)", Needs: need("rrroorr"), probe: tried(probe.PidFD)},
		{ID: "sys.openat2", Group: "kernel", Title: "openat2", Why: "opening a path that cannot lead out of a container (Linux 5.6)", Needs: need("rrrrrrr"), probe: tried(probe.OpenAt2)},
		{ID: "sys.close_range", Group: "kernel", Title: "close_range", Why: "closing thousands of descriptors at once (Linux 5.9)", Needs: need("ooooooo"), probe: tried(probe.CloseRange)},
		{ID: "sys.mount-api", Group: "kernel", Title: "new mount API", Why: "fsopen and its kin (Linux 5.2): more layers than a page of options holds", Needs: need("ooooooo"), probe: tried(probe.MountAPI)},
		{ID: "sys.idmap", Group: "kernel", Title: "idmapped mounts", Why: "one image for containers of different users, without chown (Linux 5.12; overlay 5.19)", Needs: need("oooooro"),
			Options: []string{"USER_NS"}, probe: idmapped},
		{ID: "sys.io_uring", Group: "kernel", Title: "io_uring", Why: "databases use it; hardened hosts switch it off", Needs: need("ooooooo"),
			Options: []string{"IO_URING"}, probe: ioURing},
		{ID: "sys.landlock", Group: "kernel", Title: "Landlock", Why: "sandboxes that a program puts itself into", Needs: need("ooooooo"),
			Options: []string{"SECURITY_LANDLOCK"}, probe: landlock},
		{ID: "sys.seccomp", Group: "security", Title: "seccomp filters", Why: "the default profile of every runtime", Needs: need("RRRRRRr"),
			Options: []string{"SECCOMP", "SECCOMP_FILTER"}, probe: tried(probe.SeccompFilter)},
		{ID: "sys.seccomp-notify", Group: "security", Title: "seccomp user notification", Why: "emulating mknod and mount for system containers (Linux 5.0)", Needs: need("oooooro"),
			Options: []string{"SECCOMP_FILTER"}, probe: tried(probe.SeccompNotify)},
		{ID: "sys.keyring", Group: "security", Title: "session keyrings", Why: "runc gives every container its own", Needs: need("RRRRrro"),
			Options: []string{"KEYS"}, probe: tried(probe.SessionKeyring)},
		{ID: "lsm.mac", Group: "security", Title: "AppArmor or SELinux", Why: "confinement beyond capabilities and seccomp", Needs: need("rrrroro"), probe: accessControl},
		{ID: "sec.capabilities", Group: "security", Title: "every capability is there to give", Why: "a runtime can only pass on what its bounding set holds; without CAP_SYS_RESOURCE it cannot raise limits", Needs: need("rrrr-rr"),
			probe: boundingSet},
		{ID: "sec.no-container", Group: "security", Title: "not inside a container", Why: "what is seen here is then the container's, not the host's", Needs: need("rrrrrrr"), probe: outside},
		{ID: "virt.kvm", Group: "virtual machines", Title: "KVM", Why: "VM-backed containers: Kata, krun, Firecracker", Needs: need("ooooo-o"),
			Options: []string{"KVM"}, probe: kvm},
		{ID: "criu.kernel", Group: "checkpoint", Title: "the kernel can checkpoint", Why: "checkpoint, restore and live migration", Needs: need("o-oo-oo"),
			Options: []string{"CHECKPOINT_RESTORE", "KCMP", "UNIX_DIAG", "INET_DIAG", "PACKET_DIAG", "NETLINK_DIAG"}, probe: checkpointKernel},
		{ID: "criu.program", Group: "checkpoint", Title: "CRIU is installed", Why: "the program that does it", Needs: need("o-oo-oo"),
			Fix: "apt-get install criu", probe: criuProgram},
	}
}

func tried(f func() probe.Call) func(*host) Outcome {
	return func(h *host) Outcome {
		c := f()
		return h.fromErrno(c.Name, c.Err, "")
	}
}

// kernelRelease judges the release alone: 4.15 brought device programs for
// cgroup v2, 5.2 its freezer (runc docs/cgroup-v2.md).
func kernelRelease(h *host) Outcome {
	ev := file("/proc/sys/kernel/osrelease", h.release)
	switch {
	case !h.version.Known():
		return cannotTell("not a release number", ev)
	case !h.version.AtLeast(3, 10):
		return no("Linux 3.10 is the oldest that any runtime supports", ev)
	case !h.version.AtLeast(4, 15):
		return partly("cgroup v2 needs Linux 4.15 for device control", ev)
	}
	return yes(h.release, ev)
}

func kernelConfig(h *host) Outcome {
	c, err := h.config()
	if err != nil {
		return no(firstLine(err.Error()), file("/proc/config.gz", err.Error()))
	}
	ev := file(c.Source, fmt.Sprintf("Linux/%s %v, %d options", c.Arch, c.Version, len(c.Values)))
	if !c.Whole {
		return partly("it looks like a piece of one: what is not mentioned may be a default", ev)
	}
	return yes("of the running kernel", ev)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func moduleLoading(h *host) Outcome {
	if !h.exists("/proc/modules") {
		return skip("the kernel has no modules: what it can do is built in", file("/proc/modules", ""))
	}
	m := h.modules()
	dir := "/lib/modules/" + h.release
	switch {
	case m.Sealed != "":
		return partly(m.Sealed, file("/proc/sys/kernel/modules_disabled", h.text("/proc/sys/kernel/modules_disabled"))).
			withFix("load what is needed at boot (/etc/modules-load.d), before modules are disabled; or remove nomodule from the command line")
	case len(m.Files) == 0 && h.contained != "none":
		return skip("the host's modules cannot be seen from within a container", file(dir, ""))
	case len(m.Files) == 0:
		return partly("the running kernel's modules are not there: an upgrade removed them, or they were never installed", file(dir+"/modules.dep", "")).
			withFix("reboot into the installed kernel, or: apt-get install linux-image-$(uname -r)")
	}
	return yes(fmt.Sprintf("%d files, %d loaded", len(m.Files), len(m.Loaded)), file(dir+"/modules.dep", fmt.Sprintf("%d modules", len(m.Files))))
}

func idmapped(h *host) Outcome {
	if !h.privileged {
		return cannotTell("needs CAP_SYS_ADMIN", call("open_tree("+h.dir+", OPEN_TREE_CLONE)", unix.EPERM)).withFix(h.howToKnow())
	}
	err := probe.IDMapped(h.dir)
	if errors.Is(err, unix.EINVAL) {
		m, _ := mountOf(h.mounts, h.dir)
		return no("Linux "+h.release+" has none for "+m.fsType+", which holds "+h.dir, call("mount_setattr(MOUNT_ATTR_IDMAP)", err)).
			withFix("ext4 and XFS have them since Linux 5.12, btrfs since 5.15, overlay since 5.19, tmpfs since 6.3")
	}
	return h.fromErrno("mount_setattr("+h.dir+", MOUNT_ATTR_IDMAP)", err, "on "+h.dir)
}

// ioURing is often off by choice: then the setting is named, and it is no
// fault of the kernel's.
func ioURing(h *host) Outcome {
	c := probe.IOURing()
	if v := h.text("/proc/sys/kernel/io_uring_disabled"); c.Err != nil && v != "" && v != "0" {
		return no("switched off by sysctl kernel.io_uring_disabled", call(c.Name, c.Err), file("/proc/sys/kernel/io_uring_disabled", v)).
			withFix("sysctl -w kernel.io_uring_disabled=0")
	}
	return h.fromErrno(c.Name, c.Err, "")
}

func landlock(h *host) Outcome {
	c := probe.Landlock()
	if errors.Is(c.Err, unix.EOPNOTSUPP) {
		return no("built in, and not among the active LSMs", call(c.Name, c.Err)).withFix("boot with lsm=landlock,... (the list of /sys/kernel/security/lsm, with landlock before it)")
	}
	o := h.fromErrno(c.Name, c.Err, fmt.Sprintf("ABI %d", c.Value))
	if c.Err == nil {
		o.Evidence[0].Value = fmt.Sprintf("ABI %d", c.Value)
	}
	return o
}

func accessControl(h *host) Outcome {
	const path = "/sys/kernel/security/lsm"
	lsm := h.text(path)
	switch {
	case strings.Contains(lsm, "apparmor"):
		if findTool(h.tree, "apparmor_parser") == "" {
			return partly("AppArmor is active, and no apparmor_parser to load profiles with", file(path, lsm)).withFix("apt-get install apparmor")
		}
		return yes("AppArmor", file(path, lsm))
	case strings.Contains(lsm, "selinux"):
		mode := map[string]string{"1": "enforcing", "0": "permissive"}[h.text("/sys/fs/selinux/enforce")]
		if mode == "permissive" {
			return partly("SELinux is permissive: it reports and does not confine", file("/sys/fs/selinux/enforce", "0")).withFix("setenforce 1")
		}
		return yes("SELinux "+mode, file(path, lsm))
	case lsm != "":
		return no("neither is active", file(path, lsm)).withFix("boot with security=apparmor, or lsm= with apparmor or selinux in the list")
	}
	if config, _ := h.config(); config != nil && !config.On("SECURITY_APPARMOR") && !config.On("SECURITY_SELINUX") {
		return no("neither is built in", file(config.Source, "SECURITY_APPARMOR and SECURITY_SELINUX are off")).withFix("build the kernel with CONFIG_SECURITY_APPARMOR=y")
	}
	if v := h.text("/sys/module/apparmor/parameters/enabled"); v == "Y" {
		return yes("AppArmor", file("/sys/module/apparmor/parameters/enabled", v))
	}
	// Without securityfs the label of this process tells: no LSM that labels
	// gives EINVAL (proc_pid_attr_current(5)).
	const attr = "/proc/self/attr/current"
	label, err := readAll(attr)
	switch {
	case errors.Is(err, unix.EINVAL):
		return no("no active LSM labels processes", call("read("+attr+")", err)).withFix("boot with security=apparmor, or lsm= with apparmor or selinux in the list")
	case err == nil && strings.Count(string(label), ":") >= 2:
		return yes("SELinux", file(attr, strings.Trim(string(label), "\x00\n")))
	}
	return cannotTell("securityfs is not mounted", file(path, "")).withFix("mount -t securityfs securityfs /sys/kernel/security")
}

func boundingSet(h *host) Outcome {
	set := capabilities(field(h.status, "CapBnd"), h.text("/proc/sys/kernel/cap_last_cap"))
	ev := file("/proc/self/status", "CapBnd: "+set)
	if set == "all" {
		return yes("all", ev)
	}
	return partly("the bounding set is "+set, ev).withFix("give the missing ones to whatever started this session")
}

func outside(h *host) Outcome {
	ev := file("/proc/self/ns/pid", h.link("/proc/self/ns/pid"))
	switch h.contained {
	case "none":
		o := yes("in the first pid namespace", ev)
		if h.exists("/.dockerenv") {
			o.Evidence = append(o.Evidence, file("/.dockerenv", "there, and means nothing"))
		}
		return o
	case "":
		return cannotTell("/proc is not there", ev)
	}
	return partly("in a container ("+h.contained+"): limits, modules and mounts of the host cannot be seen", ev).withFix("run it on the host")
}

func kvm(h *host) Outcome {
	if !h.exists("/dev/kvm") {
		why := "the kernel has no KVM, or the processor's extensions are off"
		if _, role := virtualization(h.tree, newGopsutil("/")); role == "guest" {
			why = "this is a virtual machine without nested virtualization"
		}
		return no(why, file("/dev/kvm", "")).withFix("enable VT-x or AMD-V in the firmware (or nested virtualization on the host), then: modprobe kvm_intel || modprobe kvm_amd")
	}
	v, err := probe.KVM()
	if err == nil && v != 12 {
		return no(fmt.Sprintf("interface version %d where there should be 12", v), call("ioctl(KVM_GET_API_VERSION)", nil))
	}
	if errors.Is(err, os.ErrPermission) {
		return cannotTell("/dev/kvm may not be opened by this user", call("open(/dev/kvm)", err)).withFix("usermod -aG kvm \"$USER\"")
	}
	return h.fromErrno("ioctl(/dev/kvm, KVM_GET_API_VERSION)", err, "interface version 12")
}

// checkpointKernel tries what CRIU needs of the kernel, and reads the rest.
func checkpointKernel(h *host) Outcome {
	var evidence []Evidence
	var lacking []string
	note := func(what string, ok bool, ev Evidence) {
		evidence = append(evidence, ev)
		if !ok {
			lacking = append(lacking, what)
		}
	}
	const lastPID = "/proc/sys/kernel/ns_last_pid"
	note("choosing a process id (CHECKPOINT_RESTORE)", h.exists(lastPID), file(lastPID, h.text(lastPID)))
	kcmp := probe.Kcmp()
	if errors.Is(kcmp.Err, unix.EPERM) {
		return cannotTell(h.refusal(), call(kcmp.Name, kcmp.Err)).withFix(h.howToKnow())
	}
	note("kcmp", kcmp.Err == nil, call(kcmp.Name, kcmp.Err))
	note("/proc/PID/map_files", h.exists("/proc/self/map_files"), file("/proc/self/map_files", map[bool]string{true: "there"}[h.exists("/proc/self/map_files")]))
	children := fmt.Sprintf("/proc/self/task/%d/children", os.Getpid())
	note("PROC_CHILDREN", h.exists(children), file(children, map[bool]string{true: "there"}[h.exists(children)]))
	if config, _ := h.config(); config != nil {
		for _, name := range []string{"UNIX_DIAG", "INET_DIAG", "PACKET_DIAG", "NETLINK_DIAG"} {
			note(name, config.On(name), file(config.Source, "CONFIG_"+name+" is "+valueShown(config.Value(name))))
		}
	}
	if len(lacking) > 0 {
		return no("lacking: "+strings.Join(lacking, ", "), evidence...)
	}
	return yes("", evidence...)
}

func criuProgram(h *host) Outcome {
	path := findTool(h.tree, "criu")
	if path == "" {
		return no("not found in "+strings.Join(binDirs, ":"), file("/usr/sbin/criu", ""))
	}
	return yes("its own opinion of the kernel is another matter: criu check --all", file(path, "there"))
}
