package hostcheck

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/probe"
)

// Columns of need: docker containerd kubernetes podman podman-rootless lxc bench.

func namespaceChecks() []Check {
	return []Check{
		{ID: "ns.mnt", Group: "namespaces", Title: "mount namespace", Why: "every container has its own tree of mounts",
			Needs: need("RRRRRRR"), Options: []string{"NAMESPACES"}, probe: namespace("mnt", "CLONE_NEWNS")},
		{ID: "ns.pid", Group: "namespaces", Title: "pid namespace", Why: "a container sees and signals its own processes only",
			Needs: need("RRRRRRR"), Options: []string{"PID_NS"}, probe: namespace("pid", "CLONE_NEWPID")},
		{ID: "ns.uts", Group: "namespaces", Title: "uts namespace", Why: "a container has its own host name",
			Needs: need("RRRRRRR"), Options: []string{"UTS_NS"}, probe: namespace("uts", "CLONE_NEWUTS")},
		{ID: "ns.ipc", Group: "namespaces", Title: "ipc namespace", Why: "System V IPC and POSIX message queues of its own",
			Needs: need("RRRRRRR"), Options: []string{"IPC_NS"}, probe: namespace("ipc", "CLONE_NEWIPC")},
		{ID: "ns.net", Group: "namespaces", Title: "network namespace", Why: "interfaces, addresses and ports of its own",
			Needs: need("RRRRRRR"), Options: []string{"NET_NS"}, probe: func(h *host) Outcome {
				return h.namespaceOutcome("CLONE_NEWNET", h.network().Namespace)
			}},
		{ID: "ns.cgroup", Group: "namespaces", Title: "cgroup namespace", Why: "a container sees its own cgroup as the root; the default on cgroup v2",
			Needs: need("rrrrrrr"), Options: []string{"CGROUPS"}, probe: namespace("cgroup", "CLONE_NEWCGROUP")},
		{ID: "ns.time", Group: "namespaces", Title: "time namespace", Why: "clocks that go on where they were after a restore or migration (Linux 5.6)",
			Needs: need("ooooooo"), Options: []string{"TIME_NS"}, probe: namespace("time", "CLONE_NEWTIME")},
		{ID: "ns.user", Group: "namespaces", Title: "user namespace, for ordinary users", Why: "rootless containers, and root in a container that is nobody outside",
			Needs: need("ooorRro"), Options: []string{"USER_NS"}, probe: userNamespaces},
		{ID: "userns.subids", Group: "namespaces", Title: "subordinate ids for the user", Why: "images hold files of many users; each needs an id outside (subuid(5))",
			Needs: need("----R--"), Fix: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$USER"`, probe: subordinateIDs},
		{ID: "userns.newuidmap", Group: "namespaces", Title: "newuidmap and newgidmap", Why: "they write the maps that an ordinary user may not",
			Needs: need("----R--"), Fix: "apt-get install uidmap  # Fedora: dnf install shadow-utils", probe: newuidmap},
	}
}

func namespace(name, flag string) func(*host) Outcome {
	return func(h *host) Outcome { return h.namespaceOutcome(flag, h.namespaces()[name]) }
}

func (h *host) namespaceOutcome(flag string, err error) Outcome {
	if errors.Is(err, unix.EINVAL) {
		return no("the kernel does not know this kind of namespace", call("unshare("+flag+")", err))
	}
	how := "made and let go"
	if !h.privileged {
		how = "made inside a user namespace, and let go"
	}
	return h.fromErrno("unshare("+flag+")", err, how)
}

// userNamespaces goes through the stages as an ordinary user would, and names
// the mechanism that blocks.
func userNamespaces(h *host) Outcome {
	stages := h.userStages()
	var evidence []Evidence
	for _, s := range stages {
		evidence = append(evidence, call(s.Name, s.Err))
	}
	if stages[0].Name == probe.StageDrop {
		return cannotTell("root cannot become another user here, to try it as one", evidence...).withFix("run it as an ordinary user")
	}
	for _, s := range stages {
		if s.Err == nil {
			continue
		}
		by, fix := h.usernsBlocker(s.Err)
		o := no(fmt.Sprintf("%s answered %s%s", s.Name, errnoName(s.Err), by), evidence...).withFix(fix)
		if by == "" && (errors.Is(s.Err, unix.EPERM) || errors.Is(s.Err, unix.EACCES)) {
			o = cannotTell(s.Name+": "+h.refusal(), evidence...).withFix(h.howToKnow())
		}
		return o
	}
	return yes("made, mapped and used with full capabilities in it", evidence...)
}

// usernsBlocker names what refused a user namespace, where a setting tells.
func (h *host) usernsBlocker(err error) (by, fix string) {
	for _, m := range []struct{ path, blocks, by, fix string }{
		{"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=15000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts them to profiles with userns (Ubuntu 23.10 and later)",
			"add an AppArmor profile with \"userns,\" for the program, or: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		if h.text(m.path) == m.blocks {
			return ": " + m.by, m.fix
		}
	}
	if strings.Contains(h.cmdline, "user_namespace.enable=0") {
		return ": the kernel was booted with user_namespace.enable=0", "remove user_namespace.enable=0 from the kernel's command line"
	}
	if errors.Is(err, unix.EINVAL) {
		return ": the kernel has none", "build the kernel with CONFIG_USER_NS=y"
	}
	return "", ""
}

// subordinateIDs looks for the invoking user's ranges. Root needs none: it is
// asked for the user behind sudo.
func subordinateIDs(h *host) Outcome {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		u, err := user.Current()
		if err != nil {
			return cannotTell("who runs this: " + err.Error())
		}
		if u.Uid == "0" {
			return cannotTell("run by root, which needs none: for which user is not known").withFix("run it as the user who will run containers")
		}
		name = u.Username
	}
	var evidence []Evidence
	missing := ""
	for _, path := range []string{"/etc/subuid", "/etc/subgid"} {
		n := subordinateCount(h.text(path), name)
		evidence = append(evidence, file(path, fmt.Sprintf("%d ids for %s", n, name)))
		if n < 65536 {
			missing = path
		}
	}
	if missing != "" {
		return no(fmt.Sprintf("%s gives %s fewer than 65,536 ids", missing, name), evidence...)
	}
	return yes("65,536 or more", evidence...)
}

// subordinateCount sums the ranges "name:first:count" of a user.
func subordinateCount(text, name string) int {
	total := 0
	for line := range strings.Lines(text) {
		var first, count int
		who, ids, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, _ := fmt.Sscanf(ids, "%d:%d", &first, &count); n == 2 && who == name && count > 0 {
			total += count
		}
	}
	return total
}

// newuidmap must be setuid, or carry CAP_SETUID as a file capability.
func newuidmap(h *host) Outcome {
	var evidence []Evidence
	for _, prog := range []string{"newuidmap", "newgidmap"} {
		path := findTool(h.tree, prog)
		if path == "" {
			return no(prog+" is not installed", file("/usr/bin/"+prog, ""))
		}
		info, err := os.Stat(path)
		if err != nil {
			return cannotTell(err.Error())
		}
		n, _ := unix.Getxattr(path, "security.capability", nil)
		if info.Mode()&os.ModeSetuid == 0 && n <= 0 {
			return no(path+" is neither setuid nor has file capabilities", file(path, info.Mode().String())).
				withFix("chmod u+s " + path)
		}
		evidence = append(evidence, file(path, info.Mode().String()))
	}
	return yes("installed and privileged", evidence...)
}
