package hostcheck

import (
	"strconv"
	"strings"
)

// mount is one line of /proc/PID/mountinfo.
type mount struct {
	major, minor int
	root         string // what of the file system is mounted
	point        string
	options      string // of the mount
	fsType       string
	source       string
	super        string // options of the superblock
	shared       bool   // propagates to and from its peers
}

// mounts are the mount points this process sees, in order.
func mounts(t tree) []mount { return parseMountinfo(t.text("/proc/self/mountinfo")) }

// parseMountinfo reads proc_pid_mountinfo(5). Lines it cannot read are left
// out. (moby/sys/mountinfo does the same, but not where reports are made on
// macOS.)
func parseMountinfo(text string) []mount {
	var all []mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 2 {
			continue
		}
		m := mount{root: unescape(f[3]), point: unescape(f[4]), options: f[5], fsType: g[0], source: unescape(g[1])}
		if len(g) > 2 {
			m.super = g[2]
		}
		for _, tag := range f[6:] {
			m.shared = m.shared || strings.HasPrefix(tag, "shared:")
		}
		major, minor, _ := strings.Cut(f[2], ":")
		m.major, _ = strconv.Atoi(major)
		m.minor, _ = strconv.Atoi(minor)
		all = append(all, m)
	}
	return all
}

// unescape undoes the octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mountOf is the mount that holds dir: the longest mount point above it, and
// of equals the last, which covers the others.
func mountOf(all []mount, dir string) (mount, bool) {
	best, found := mount{}, false
	for _, m := range all {
		above := m.point == "/" || m.point == dir || strings.HasPrefix(dir, m.point+"/")
		if above && len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}
