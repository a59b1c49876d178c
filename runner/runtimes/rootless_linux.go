package runtimes

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// userNamespaceSwitches are what keeps an ordinary user from containers: a
// file, the value in it that forbids, and what to do.
var userNamespaceSwitches = []struct{ file, forbids, reason, fix string }{
	{"proc/sys/user/max_user_namespaces", "0",
		"user.max_user_namespaces is 0: nobody may make user namespaces", "sysctl -w user.max_user_namespaces=15000"},
	{"proc/sys/kernel/unprivileged_userns_clone", "0", // Debian and Arch
		"kernel.unprivileged_userns_clone is 0: ordinary users may not make user namespaces", "sysctl -w kernel.unprivileged_userns_clone=1"},
	{"proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", // Ubuntu since 23.10
		"kernel.apparmor_restrict_unprivileged_userns is 1: a user namespace gives no capabilities to programs without an AppArmor profile",
		"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give this program a profile with the rule \"userns,\""},
}

// userNamespacesForbidden says what on this host keeps ordinary users from
// containers, nil where nothing is known to. The files are looked for below
// root.
func userNamespacesForbidden(root string) *Missing {
	if _, err := os.Stat(filepath.Join(root, "proc/self/ns/user")); errors.Is(err, fs.ErrNotExist) {
		return &Missing{Reason: "the kernel has no user namespaces (CONFIG_USER_NS)", Fix: "run as root"}
	}
	for _, s := range userNamespaceSwitches {
		text, err := os.ReadFile(filepath.Join(root, s.file))
		if err == nil && strings.TrimSpace(string(text)) == s.forbids {
			return &Missing{Reason: s.reason, Fix: s.fix + "; or run as root"}
		}
	}
	return nil
}
