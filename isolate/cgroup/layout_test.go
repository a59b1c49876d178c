package cgroup

import (
	"strings"
	"testing"
)

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		group, root, want string
		ok                bool
	}{
		{"/a/b", "/", "/a/b", true},
		{"/", "/", "/", true},
		{"/a/b", "/a", "/b", true},
		{"/a", "/a", "", true},
		{"/ab", "/a", "", false},      // not a part of the path
		{"/../other", "/", "", false}, // outside our cgroup namespace
		{"/a", "/..", "", false},      // mounted from above it
	} {
		got, ok := within(tt.group, tt.root)
		if got != tt.want && ok || ok != tt.ok {
			t.Errorf("within(%q, %q) = %q, %v", tt.group, tt.root, got, ok)
		}
	}
}

// FuzzMemberships: every line of a kernel's /proc/self/cgroup is kept, and no group is ever said to be
// outside of its mount.
func FuzzMemberships(f *testing.F) {
	f.Add("4:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/../x\n", "/")
	f.Add("0::\n::/\nx\n", "/a")
	f.Fuzz(func(t *testing.T, s, root string) {
		for _, m := range parseMemberships([]byte(s)) {
			if !strings.HasPrefix(m.path, "/") {
				t.Fatalf("path %q", m.path)
			}
			if below, ok := within(m.path, root); ok && strings.HasPrefix(below, "/../") {
				t.Fatalf("%q is not within %q", m.path, root)
			}
		}
		parseSubsystems([]byte(s))
	})
}
