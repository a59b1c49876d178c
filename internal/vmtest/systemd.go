package vmtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"plimsoll/internal/vmtest/guest"
)

// What a guest whose process 1 is systemd has beside the others: systemd itself,
// the bus, and this host's units as far as they are needed. The user's manager is
// started without a login, as lingering does.

var systemdPrograms = []string{
	guest.Systemd, "/usr/bin/systemctl", "/usr/bin/dbus-daemon", "/usr/lib/systemd/systemd-cgroups-agent",
	"/usr/lib/systemd/systemd-shutdown",
}

var systemdFiles = []string{
	"/usr/share/dbus-1/system.conf", "/usr/share/dbus-1/session.conf", "/usr/share/dbus-1/system.d/org.freedesktop.systemd1.conf",
	"/usr/lib/systemd/system/dbus.service", "/usr/lib/systemd/system/dbus.socket",
	"/usr/lib/systemd/user/dbus.service", "/usr/lib/systemd/user/dbus.socket",
	"/usr/lib/systemd/user/app.slice", "/usr/lib/systemd/user/session.slice",
}

var systemdTargets = map[string][]string{
	"/usr/lib/systemd/system/": {"basic", "sysinit", "sockets", "slices", "paths", "timers", "shutdown", "final", "umount", "local-fs", "swap"},
	"/usr/lib/systemd/user/":   {"basic", "default", "sockets", "paths", "timers", "shutdown", "exit"},
}

var systemdUnits = map[string]string{
	"etc/machine-id": "0123456789abcdef0123456789abcdef\n",
	"etc/passwd":     etc["etc/passwd"] + "messagebus:x:100:65534::/nonexistent:/bin/false\n",

	"etc/systemd/system/default.target": "[Unit]\nRequires=basic.target vmtest.service\nAfter=basic.target\nAllowIsolate=yes\n",
	"etc/systemd/system/vmtest.service": `[Unit]
Requires=dbus.socket user@1000.service
After=dbus.socket user@1000.service
[Service]
ExecStart=/init
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
`,
	// Debian's user@.service, without PAM and logind.
	"etc/systemd/system/user@1000.service": fmt.Sprintf(`[Unit]
Requires=dbus.socket
After=dbus.socket
[Service]
User=%d
Type=notify
Environment=XDG_RUNTIME_DIR=/run/user/%[1]d HOME=/home/%s
ExecStart=%s --user
Slice=user-%[1]d.slice
KillMode=mixed
Delegate=pids memory cpu
TasksMax=infinity
`, guest.UserID, guest.UserName, guest.Systemd),
}

func addSystemd(ctx context.Context, t tree) error {
	for _, path := range systemdPrograms {
		if err := addAt(ctx, t, path); err != nil {
			return err
		}
	}
	files := systemdFiles
	for dir, names := range systemdTargets {
		for _, name := range names {
			files = append(files[:len(files):len(files)], dir+name+".target")
		}
	}
	for _, path := range files {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("systemd for the guest: %w (hint: apt-get install systemd dbus dbus-user-session)", err)
		}
		t.copy(strings.TrimPrefix(path, "/"), path, 0o644)
	}
	for name, text := range systemdUnits {
		t.text(name, text)
	}
	t.link("etc/systemd/user/sockets.target.wants/dbus.socket", "/usr/lib/systemd/user/dbus.socket")
	return nil
}

// addAt packs a program where it is, with its shared libraries.
func addAt(ctx context.Context, t tree, path string) error {
	libs, err := libraries(ctx, path)
	if err != nil {
		return fmt.Errorf("systemd for the guest: %w (hint: apt-get install systemd dbus dbus-user-session)", err)
	}
	for _, file := range append(libs, path) {
		at := strings.TrimPrefix(filepath.Clean(file), "/")
		if strings.HasPrefix(at, "lib") { // Debian's merged /usr
			at = "usr/" + at
		}
		t.copy(at, file, 0o755)
	}
	return nil
}

// systemdLayout asks systemd for a layout of cgroups (systemd(1), "Kernel Command Line").
func systemdLayout(cgroup string) string {
	return map[string]string{
		"v2":     "systemd.unified_cgroup_hierarchy=1",
		"hybrid": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0",
		"v1":     "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
	}[cgroup] + " systemd.log_target=console systemd.show_status=0"
}
