package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// membership is a line of /proc/PID/cgroup, "4:cpu,cpuacct:/path" or, for the
// unified hierarchy, "0::/path" (cgroups(7)).
type membership struct {
	names       []string // as written; one "name=…" for a hierarchy without controllers
	controllers []Controller
	path        string
}

func (m membership) version() int {
	if len(m.names) == 0 {
		return 2
	}
	return 1
}

func parseMemberships(b []byte) (ms []membership) {
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || !strings.HasPrefix(f[2], "/") {
			continue
		}
		m := membership{path: f[2]}
		if f[1] != "" {
			m.names = strings.Split(f[1], ",")
		} else if f[0] != "0" {
			continue
		}
		for _, name := range m.names {
			if !strings.HasPrefix(name, "name=") {
				m.controllers = append(m.controllers, fromV1(name))
			}
		}
		ms = append(ms, m)
	}
	return ms
}

// fromV1 is a controller's v2 name.
func fromV1(name string) Controller {
	if name == "blkio" {
		return IO
	}
	return Controller(name)
}

// find picks the mount of the hierarchy that shows most of it: a container may have
// bind mounts of parts beside. What is mounted last hides the others at its place.
func (m membership) find(mounts []*mountinfo.Info) (best *mountinfo.Info) {
	for _, mount := range mounts {
		if !m.mountedAs(mount) {
			continue
		}
		if best == nil || len(mount.Root) < len(best.Root) || mount.Mountpoint == best.Mountpoint {
			best = mount
		}
	}
	return best
}

func (m membership) mountedAs(mount *mountinfo.Info) bool {
	if m.version() == 2 {
		return mount.FSType == "cgroup2"
	}
	if mount.FSType != "cgroup" {
		return false
	}
	options := strings.Split(mount.VFSOptions, ",")
	for _, name := range m.names {
		if !slices.Contains(options, name) {
			return false
		}
	}
	return true
}

// within gives the part of a group's path below the root of a mount. Both
// come from the kernel, relative to our cgroup namespace.
func within(group, root string) (string, bool) {
	if root == "/" {
		return group, !strings.HasPrefix(group+"/", "/../")
	}
	if group == root || strings.HasPrefix(group, root+"/") {
		return strings.TrimPrefix(group, root), true
	}
	return "", false
}

// subsystem is a line of /proc/cgroups.
type subsystem struct {
	hierarchy string // "0" when v2 has it or none
	enabled   bool
}

func parseSubsystems(b []byte) map[Controller]subsystem {
	all := map[Controller]subsystem{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 4 && !strings.HasPrefix(line, "#") {
			all[fromV1(f[0])] = subsystem{hierarchy: f[1], enabled: f[3] == "1"}
		}
	}
	return all
}

// listed reads a file of controllers, such as cgroup.controllers.
func listed(path string) (cs []Controller) {
	b, _ := os.ReadFile(path)
	for _, name := range strings.Fields(string(b)) {
		cs = append(cs, Controller(name))
	}
	return cs
}

// missing explains every controller of ours that cannot be used.
func (h *Host) missing(kernel map[Controller]subsystem) map[Controller]*MissingError {
	all := map[Controller]*MissingError{}
	for i := range controllers {
		c := &controllers[i]
		if why, hint := h.why(c, kernel); why != "" {
			all[c.name] = &MissingError{c.name, why, hint}
		}
	}
	return all
}

func (h *Host) why(c *controller, kernel map[Controller]subsystem) (why, hint string) {
	version := 1
	for _, at := range h.Hierarchies {
		if slices.Contains(at.Controllers, c.name) {
			if at.Err != nil {
				return at.Err.Error(), ""
			}
			return "", ""
		}
	}
	for _, at := range h.Hierarchies {
		if at.Version != 2 {
			continue
		}
		version = 2
		if slices.Contains(listed(filepath.Join(at.Mount, "cgroup.controllers")), c.name) {
			return "the host has it, but it is not handed down to " + at.Parent,
				"if systemd runs this host, let it give users' managers all it has: systemctl edit user@.service, there [Service] Delegate=yes; then log in anew"
		}
	}
	s, ok := kernel[c.name]
	switch {
	case ok && !s.enabled:
		hint = "boot without cgroup_disable=" + c.v1.name
		if c.boot != "" {
			hint += ", or with " + c.boot
		}
		return "switched off at boot", hint
	case ok && s.hierarchy != "0":
		return "attached to a v1 hierarchy that is not mounted here", fmt.Sprintf("mount -t cgroup -o %s cgroup DIRECTORY", c.v1.name)
	case version == 2 && c.alone:
		return "v1 only: v2 has nothing in its place", "match the group's path in the firewall's rules: nft socket cgroupv2"
	case version == 2 && c.v2.name == "":
		return "v1 only: v2 has it built in", ""
	case ok && version == 1:
		return "the kernel has it, but no hierarchy with it is mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
	case ok:
		return "the kernel has it, but the unified hierarchy here does not offer it", "in a container, the group it runs in must be given the controller"
	}
	return "the kernel does not have it", "needs " + c.in(version).config
}
