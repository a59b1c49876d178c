package hostcheck

import "strings"

func virtualizationFacts(t tree, inv inventory) map[string]string {
	system, role := virtualization(t, inv)
	return map[string]string{
		"virtualization":      system,
		"virtualization.role": role,
		"container":           container(t),
		"machine.vendor":      t.text("/sys/class/dmi/id/sys_vendor"),
		"machine.product":     t.text("/sys/class/dmi/id/product_name"),
	}
}

// virtualization says under what the kernel runs ("kvm", "none", ...) and as
// what. The inventory's guess names a container system when it sees
// /.dockerenv, which images leave behind on hosts made from them: container
// systems are taken from [container] alone, and here only hypervisors count.
func virtualization(t tree, inv inventory) (system, role string) {
	for _, known := range []struct{ vendor, system string }{
		{"QEMU", "kvm"}, {"Amazon EC2", "amazon"}, {"Google", "google"}, {"Microsoft Corporation", "hyperv"},
		{"VMware", "vmware"}, {"innotek", "virtualbox"}, {"Xen", "xen"}, {"Parallels", "parallels"},
		{"Bochs", "bochs"}, {"Apple Virtualization", "apple"},
	} {
		if strings.HasPrefix(t.text("/sys/class/dmi/id/sys_vendor"), known.vendor) {
			system = known.system
		}
	}
	if h := t.text("/sys/hypervisor/type"); h != "" {
		system = h
	}
	cpuinfo := t.text("/proc/cpuinfo")
	guest := strings.Contains(" "+strings.ReplaceAll(field(cpuinfo, "flags"), "\t", " ")+" ", " hypervisor ")
	guessed, guessedRole := inv.Virtualization()
	switch guessed {
	case "docker", "lxc", "rkt", "openvz", "linux-vserver", "":
	default:
		if system == "" && (guessedRole == "host" || guest) {
			return guessed, guessedRole
		}
	}
	switch {
	case system == "" && guest:
		return "unnamed", "guest" // the hypervisor flag is set, and nothing says whose
	case guest || system != "":
		return system, "guest"
	case strings.HasPrefix(cpuinfo, "processor") && field(cpuinfo, "flags") != "":
		return "none", ""
	}
	return "", ""
}

// initialPIDNS is the inode number of the first pid namespace, fixed since
// Linux 3.8 (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const initialPIDNS = "pid:[4026531836]"

// container names what contains this process ("docker", "podman", "lxc",
// "kubernetes", "unnamed"), or "none". A process in the first pid namespace
// is in no container, whatever files lie about.
func container(t tree) string {
	switch t.link("/proc/self/ns/pid") {
	case "":
		return ""
	case initialPIDNS:
		return "none"
	}
	env := t.text("/proc/1/environ")
	for kv := range strings.SplitSeq(env, "\x00") {
		if v, ok := strings.CutPrefix(kv, "container="); ok && v != "" {
			return v
		}
		if strings.HasPrefix(kv, "KUBERNETES_SERVICE_HOST=") {
			return "kubernetes"
		}
	}
	switch {
	case t.exists("/run/.containerenv"):
		return "podman"
	case t.exists("/.dockerenv"):
		return "docker"
	case t.text("/run/systemd/container") != "":
		return t.text("/run/systemd/container")
	}
	return "unnamed"
}
