package hostcheck

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// directoryFacts describes the file system that holds dir.
func directoryFacts(t tree, dir string) map[string]string {
	f := map[string]string{"path": dir}
	// The directory may not exist yet: its nearest ancestor decides.
	at := dir
	for at != "/" && at != "." && !t.exists(at) {
		at = filepath.Dir(at)
	}
	if t == "/" {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at, _ = filepath.Abs(real)
		}
	}
	var st unix.Statfs_t
	if unix.Statfs(t.path(at), &st) == nil {
		f["free"] = strconv.FormatUint(st.Bavail*uint64(st.Bsize), 10)
		f["size"] = strconv.FormatUint(st.Blocks*uint64(st.Bsize), 10)
	}
	m, ok := mountOf(mounts(t), at)
	if !ok {
		return f
	}
	f["type"] = m.fsType
	f["mount"] = m.point
	f["options"] = mergeOptions(m.options, m.super)
	f["device"] = m.source
	queue := blockQueue(t, m)
	if queue == "" {
		return f
	}
	f["rotational"] = tree(queue).text("rotational")
	f["scheduler"] = chosen(tree(queue).text("scheduler"))
	return f
}

// blockQueue is the directory of the settings of the disk under a mount, ""
// if there is none. A partition has no queue of its own; its disk's directory
// is the one above. btrfs mounts have a device number of no disk: there the
// source tells.
func blockQueue(t tree, m mount) string {
	major, minor := uint32(m.major), uint32(m.minor)
	var st unix.Stat_t
	if major == 0 && strings.HasPrefix(m.source, "/dev/") && unix.Stat(t.path(m.source), &st) == nil {
		major, minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	}
	disk, err := filepath.EvalSymlinks(t.path(fmt.Sprintf("/sys/dev/block/%d:%d", major, minor)))
	if err != nil {
		return ""
	}
	for _, dir := range []string{disk, filepath.Dir(disk)} {
		if queue := filepath.Join(dir, "queue"); tree(queue).exists("") {
			return queue
		}
	}
	return ""
}

// mergeOptions joins the options of a mount and of its superblock, each once.
func mergeOptions(lists ...string) string {
	var out []string
	seen := map[string]bool{}
	for _, list := range lists {
		for opt := range strings.SplitSeq(list, ",") {
			if opt != "" && !seen[opt] {
				seen[opt] = true
				out = append(out, opt)
			}
		}
	}
	return strings.Join(out, ",")
}
