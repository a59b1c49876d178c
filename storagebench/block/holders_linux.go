package block

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/moby/sys/mountinfo"
)

// holders names who keeps a device in use: processes that have it open, and one
// for each mount namespace in which it is mounted. A namespace that was made
// while the device was mounted has that mount, too, and does not hear of its end
// if it is private, as unshare(1) makes it (mount_namespaces(7)).
func holders(device string) string {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return err.Error()
	}
	var found []string
	seen := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		say := func(what string) {
			name, _ := os.ReadFile(filepath.Join(p, "comm"))
			found = append(found, fmt.Sprintf("process %s (%s) %s", filepath.Base(p), strings.TrimSpace(string(name)), what))
		}
		fds, _ := filepath.Glob(filepath.Join(p, "fd/*"))
		if slices.ContainsFunc(fds, func(fd string) bool { to, _ := os.Readlink(fd); return to == device }) {
			say("has it open")
		}
		namespace, err := os.Readlink(filepath.Join(p, "ns/mnt"))
		if err != nil || seen[namespace] {
			continue
		}
		seen[namespace] = true
		if at := mountedAt(filepath.Join(p, "mountinfo"), st.Rdev, device); at != "" {
			say("has it mounted at " + at)
		}
	}
	if found == nil {
		return "no process has it open or mounted; a file of what was mounted may be open, or another device be on it (losetup -a, dmsetup deps)"
	}
	return strings.Join(found, "; ")
}

// mountedAt finds a mount of a device. Btrfs gives mounts a number of their own,
// and only the source tells.
func mountedAt(file string, number uint64, device string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	mounts, err := mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (skip, stop bool) {
		on := m.Source == device || uint64(m.Major) == uint64(unix.Major(number)) && uint64(m.Minor) == uint64(unix.Minor(number))
		return !on, on
	})
	if err != nil || len(mounts) == 0 {
		return ""
	}
	return mounts[0].Mountpoint
}
