package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestRemoveScope: systemd's leavings go, a scope that is in use does not.
func TestRemoveScope(t *testing.T) {
	onEachLayout(t, func(t *testing.T, h *Host) {
		marker, err := h.Marker()
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name         string
			inUse, stays bool
		}{
			{Prefix + "test.scope", false, false},
			{Prefix + "test.scope", true, true},
			{"session-1.scope", false, true},
			{Prefix + "test", false, true},
		} {
			dir := filepath.Join(marker.Parent, tt.name)
			below := filepath.Join(dir, Prefix+"run")
			if err := os.MkdirAll(below, 0o755); err != nil {
				t.Fatal(err)
			}
			user := exec.Command("sleep", "60")
			if tt.inUse {
				if err := user.Start(); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(below, "cgroup.procs"), []byte(strconv.Itoa(user.Process.Pid)), 0); err != nil {
					t.Error(err)
				}
			}
			if err := removeScope(soon(t), dir, 0); err != nil || exists(dir) != tt.stays {
				t.Errorf("%s, in use %v: stays %v, %v", tt.name, tt.inUse, exists(dir), err)
			}
			if tt.inUse {
				user.Process.Kill()
				user.Wait()
			}
			if err := removeTree(soon(t), dir); err != nil {
				t.Error(err)
			}
		}
	})
}
