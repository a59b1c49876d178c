package cgroup

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFacts holds what the files of a group say against the kernel's version.
func TestFacts(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		var uts unix.Utsname
		if err := unix.Uname(&uts); err != nil {
			t.Fatal(err)
		}
		var major, minor int
		if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor); err != nil {
			t.Fatal(err)
		}
		since := func(m, n int) bool { return major > m || major == m && minor >= n }
		unified := h.unified() != nil
		memory, err := h.Lookup(Memory)
		want := map[string]bool{
			"cgroup_kill":   unified && since(5, 14),
			"cgroup_freeze": unified && since(5, 2),
			"memory_peak":   err == nil && (memory.Version == 1 || since(5, 19)),
		}
		got, err := newRun(t, h).Facts()
		if err != nil {
			t.Fatal(err)
		}
		for name, has := range want {
			if fact := got[name]; (fact == "yes") != has || !has && !strings.HasPrefix(fact, "no (") {
				t.Errorf("Linux %d.%d: %s is %q, want %v", major, minor, name, fact, has)
			}
		}
		if fact := got["cgroup_psi"]; fact == "" || fact == "yes" && !unified {
			t.Errorf("cgroup_psi is %q", fact)
		}
	})
}
