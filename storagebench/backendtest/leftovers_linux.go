package backendtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
)

// leftIn lists what of a pool is still there: mounts, loop devices, open
// files, processes of ours and files, all of the directory that was its own.
func leftIn(dir string) (left []string) {
	for _, m := range mountsBelow(dir) {
		left = append(left, "mount "+m)
	}
	for device, file := range loops() {
		if below(dir, file) {
			left = append(left, fmt.Sprintf("loop device %s on %s", device, file))
		}
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if file, err := os.Readlink(fd); err == nil && below(dir, file) {
			left = append(left, "descriptor of "+file)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*") // and no more: Glob would list each
	for _, process := range processes {
		if text, err := os.ReadFile(process + "/cmdline"); err == nil && strings.Contains(string(text), dir) {
			left = append(left, "process "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, "file "+filepath.Join(dir, e.Name()))
	}
	return left
}

func below(dir, file string) bool {
	return file == dir || strings.HasPrefix(file, dir+"/")
}

// mountsBelow lists mounts, the deepest last.
func mountsBelow(dir string) (found []string) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return []string{err.Error()}
	}
	for _, m := range mounts {
		found = append(found, m.Mountpoint)
	}
	slices.Sort(found)
	return found
}

// loops are the loop devices in use, and their files.
func loops() map[string]string {
	found := map[string]string{}
	devices, _ := filepath.Glob("/sys/block/loop*")
	for _, device := range devices {
		if backing, err := os.ReadFile(device + "/loop/backing_file"); err == nil {
			found["/dev/"+filepath.Base(device)] = strings.TrimSuffix(strings.TrimSpace(string(backing)), " (deleted)")
		}
	}
	return found
}

// takeAway does what a harness does after a kill: mounts first, then devices
// and files.
func takeAway(dir string) {
	mounts := mountsBelow(dir)
	for _, m := range mounts {
		block.Thaw(m)
	}
	for _, m := range slices.Backward(mounts) {
		unix.Unmount(m, unix.MNT_DETACH)
	}
	for device, file := range loops() {
		if !below(dir, file) {
			continue
		}
		if f, err := os.Open(device); err == nil {
			unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
			f.Close()
		}
	}
	if len(mountsBelow(dir)) == 0 {
		os.RemoveAll(dir)
	}
}
