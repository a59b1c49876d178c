package hostcheck

import (
	"strconv"
	"strings"
)

func securityFacts(t tree, _ inventory) map[string]string {
	lsm := strings.ReplaceAll(t.text("/sys/kernel/security/lsm"), ",", " ")
	return map[string]string{
		"lsm":                   lsm,
		"lockdown":              chosen(t.text("/sys/kernel/security/lockdown")),
		"userns.max":            t.text("/proc/sys/user/max_user_namespaces"),
		"userns.unprivileged":   t.text("/proc/sys/kernel/unprivileged_userns_clone"),
		"userns.apparmor":       t.text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
		"sysctl.io_uring":       t.text("/proc/sys/kernel/io_uring_disabled"),
		"sysctl.unpriv_bpf_off": t.text("/proc/sys/kernel/unprivileged_bpf_disabled"),
	}
}

// processFacts describes what this process may do and use.
func processFacts(t tree, _ inventory) map[string]string {
	status := t.text("/proc/self/status")
	limits := t.text("/proc/self/limits")
	uid := strings.Fields(field(status, "Uid"))
	f := map[string]string{
		"limits.nofile":  limit(limits, "Max open files"),
		"limits.nproc":   limit(limits, "Max processes"),
		"limits.memlock": limit(limits, "Max locked memory"),
		"capabilities":   capabilities(field(status, "CapEff"), t.text("/proc/sys/kernel/cap_last_cap")),
		"seccomp":        field(status, "Seccomp"),
		"no_new_privs":   field(status, "NoNewPrivs"),
	}
	if len(uid) == 4 {
		f["user.uid"], f["user.euid"] = uid[0], uid[1]
	}
	return f
}

// limit gives "soft hard" of one line of /proc/PID/limits.
func limit(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if v := strings.Fields(rest); len(v) >= 2 {
				return v[0] + " " + v[1]
			}
		}
	}
	return ""
}

// capabilities is "all", "none", "all but sys_resource", or the list of names.
func capabilities(mask, last string) string {
	have, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return ""
	}
	top, err := strconv.Atoi(last)
	if err != nil || top >= 64 {
		top = len(capabilityNames) - 1
	}
	var with, without []string
	for i := range top + 1 {
		name := strconv.Itoa(i)
		if i < len(capabilityNames) {
			name = capabilityNames[i]
		}
		if have&(1<<i) != 0 {
			with = append(with, name)
		} else {
			without = append(without, name)
		}
	}
	switch {
	case len(without) == 0:
		return "all"
	case len(with) == 0:
		return "none"
	case len(without) < len(with):
		return "all but " + strings.Join(without, " ")
	}
	return strings.Join(with, " ")
}

// capabilityNames in the order of include/uapi/linux/capability.h.
var capabilityNames = []string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
	"linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
	"sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
	"mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
	"checkpoint_restore",
}
