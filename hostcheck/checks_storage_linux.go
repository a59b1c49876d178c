package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/probe"
)

func storageChecks() []Check {
	return []Check{
		{ID: "fs.overlay", Group: "storage", Title: "overlay on the data directory", Why: "the default storage of every engine", Needs: need("RRRR-or"),
			Options: []string{"OVERLAY_FS"}, Fix: "modprobe overlay", probe: overlayRoot},
		{ID: "fs.overlay-rootless", Group: "storage", Title: "overlay in a user namespace", Why: "rootless storage without fuse-overlayfs (Linux 5.11)", Needs: need("----roo"),
			Options: []string{"OVERLAY_FS", "USER_NS"}, Fix: "apt-get install fuse-overlayfs", probe: overlayUser},
		{ID: "fs.overlay-options", Group: "storage", Title: "overlay options", Why: "metacopy and volatile make containers faster, lowerdir+ takes hundreds of layers", Needs: need("ooooooo"),
			probe: overlayOptions},
		{ID: "fs.overlay-native-diff", Group: "storage", Title: "overlay makes no redirects by default", Why: "redirect_dir or metacopy on by default costs Docker its native diff", Needs: need("o-oo--o"),
			Fix: "echo 'options overlay redirect_dir=off metacopy=off' > /etc/modprobe.d/overlay.conf", probe: nativeDiff},
		{ID: "fs.dtype", Group: "storage", Title: "directory entries tell their type", Why: "overlay cannot use a lower layer without (XFS made with ftype=0)", Needs: need("RRRRRoR"),
			Fix: "make the file system anew: mkfs.xfs -n ftype=1 DEVICE", probe: entryTypes},
		{ID: "fs.reflink", Group: "storage", Title: "reflinks on the data directory", Why: "copies that share blocks: fast clones without an overlay", Needs: need("ooooooo"),
			Fix: "put the data directory on btrfs or XFS (mkfs.xfs -m reflink=1)", probe: reflink},
		{ID: "fs.quota", Group: "storage", Title: "project quota on the data directory", Why: "limits what one container may write (--storage-opt size=)", Needs: need("ooooooo"),
			Options: []string{"QUOTA", "QUOTACTL"}, Fix: "mount the file system with -o prjquota (XFS: pquota; ext4 needs tune2fs -O project,quota)", probe: projectQuota},
		{ID: "fs.space", Group: "storage", Title: "room on the data directory", Why: "images and layers; engines fail badly on a full disk", Needs: need("rrrrrrr"),
			Fix: "free some, or move the data directory", probe: freeSpace},
		{ID: "fs.fuse", Group: "storage", Title: "FUSE", Why: "fuse-overlayfs, lxcfs", Needs: need("oooorro"),
			Options: []string{"FUSE_FS"}, Fix: "modprobe fuse", probe: fuse},
		{ID: "fs.tmpfs", Group: "storage", Title: "tmpfs", Why: "/dev/shm, /run and secrets", Needs: need("RRRRRRr"),
			Options: []string{"TMPFS"}, probe: filesystem("tmpfs", "TMPFS", "tmpfs")},
		{ID: "fs.mqueue", Group: "storage", Title: "mqueue file system", Why: "/dev/mqueue of every OCI container", Needs: need("RRRRrro"),
			Options: []string{"POSIX_MQUEUE"}, probe: filesystem("mqueue", "POSIX_MQUEUE", "mqueue")},
		{ID: "fs.btrfs", Group: "storage", Title: "btrfs", Why: "snapshots as layers", Needs: need("ooooooo"),
			Options: []string{"BTRFS_FS"}, Fix: "modprobe btrfs", probe: filesystem("btrfs", "BTRFS_FS", "btrfs")},
		{ID: "fs.xfs", Group: "storage", Title: "XFS", Why: "project quotas and reflinks", Needs: need("ooooooo"),
			Options: []string{"XFS_FS"}, Fix: "modprobe xfs", probe: filesystem("xfs", "XFS_FS", "xfs")},
		{ID: "fs.zfs", Group: "storage", Title: "ZFS", Why: "datasets as layers; out of the kernel's tree", Needs: need("o-oo-oo"),
			Fix: "apt-get install zfsutils-linux zfs-dkms, and modprobe zfs", probe: filesystem("zfs", "BLK_DEV_ZFS", "zfs")},
		{ID: "fs.erofs", Group: "storage", Title: "EROFS", Why: "read-only image formats, composefs", Needs: need("ooooo-o"),
			Options: []string{"EROFS_FS"}, Fix: "modprobe erofs", probe: filesystem("erofs", "EROFS_FS", "erofs")},
		{ID: "dev.loop", Group: "storage", Title: "loop devices", Why: "file systems in files", Needs: need("oooo-oo"),
			Options: []string{"BLK_DEV_LOOP"}, Fix: "modprobe loop", probe: loopDevices},
		{ID: "dev.dm", Group: "storage", Title: "device mapper", Why: "thin pools, dm-verity, LVM", Needs: need("oo-o-oo"),
			Options: []string{"BLK_DEV_DM"}, Fix: "modprobe dm_mod", probe: deviceMapper},
		{ID: "dev.thin", Group: "storage", Title: "thin pools", Why: "snapshots of block devices", Needs: need("oo-o-oo"),
			Options: []string{"DM_THIN_PROVISIONING"}, Fix: "modprobe dm_thin_pool", probe: thinPools},
	}
}

// scratchOutcome answers for a question that needs a directory of our own.
func (h *host) scratchOutcome(ask func(scratchAnswers) Outcome) Outcome {
	a := h.scratch()
	if a.made == nil {
		return ask(a)
	}
	ev := call("mkdir "+filepath.Join(h.dir, ".checkconfig-*"), a.made)
	switch {
	case errors.Is(a.made, fs.ErrPermission):
		return cannotTell("no directory can be made in "+h.dir+" to try it", ev).withFix(h.howToKnow())
	case errors.Is(a.made, unix.EROFS):
		return no(h.dir+" is read-only", ev).withFix("mount -o remount,rw " + h.dir)
	}
	return no("no directory can be made in "+h.dir, ev)
}

func overlayRoot(h *host) Outcome {
	if o, ok := h.ready("OVERLAY_FS", "overlay"); !ok {
		return o
	}
	return h.scratchOutcome(func(a scratchAnswers) Outcome { return h.overlayOutcome(a.overlay) })
}

func overlayUser(h *host) Outcome {
	if o, ok := h.ready("OVERLAY_FS", "overlay"); !ok {
		return o
	}
	return h.scratchOutcome(func(a scratchAnswers) Outcome {
		if errors.Is(a.user, unix.EPERM) && h.privileged {
			return no("the kernel refuses it in a user namespace; Linux 5.11 and later allow it", call("mount(overlay) in a user namespace", a.user))
		}
		return h.overlayOutcome(a.user)
	})
}

func (h *host) overlayOutcome(err error) Outcome {
	m, _ := mountOf(h.mounts, h.dir)
	where := h.dir + " (" + m.fsType + ")"
	switch {
	case errors.Is(err, probe.ErrNoCopyUp):
		return no("mounted on "+where+", but a changed file did not reach the upper layer", call("write", err))
	case errors.Is(err, unix.EINVAL):
		return no(where+" cannot be an upper layer", call("mount(overlay)", err)).
			withFix("put the data directory on ext4, btrfs, tmpfs, or XFS with ftype=1; not on overlay, NFS or eCryptfs")
	case errors.Is(err, unix.ENODEV):
		return no("the kernel has no overlay file system", call("mount(overlay)", err))
	}
	return h.fromErrno("mount(overlay), copy-up on "+h.dir, err, "mounted on "+where+", and a file was copied up")
}

// overlayTried are the options offered to the kernel, by the release that
// brought them.
var overlayTried = []struct{ key, value, since string }{
	{"redirect_dir", "on", "4.10"}, {"index", "on", "4.13"}, {"xino", "auto", "4.17"}, {"metacopy", "on", "4.19"},
	{"volatile", "", "5.10"}, {"userxattr", "", "5.11"}, {"lowerdir+", "/", "6.7"}, {"verity", "on", "6.6"},
}

func overlayOptions(h *host) Outcome {
	if o, ok := h.ready("OVERLAY_FS", "overlay"); !ok {
		return o
	}
	if !h.version.AtLeast(6, 5) {
		// Before, overlay took options as one page and judged them only when mounted.
		return skip("only since Linux 6.5 does overlay judge its options one by one", file("/proc/sys/kernel/osrelease", h.release))
	}
	options := map[string]string{}
	for _, o := range overlayTried {
		options[o.key] = o.value
	}
	answers, err := probe.OverlayOptions(options)
	if err != nil {
		return h.fromErrno("fsopen(overlay)", err, "")
	}
	var evidence []Evidence
	var refused []string
	for _, o := range overlayTried {
		evidence = append(evidence, call("fsconfig("+o.key+")", answers[o.key]))
		if answers[o.key] != nil {
			refused = append(refused, fmt.Sprintf("%s (Linux %s)", o.key, o.since))
		}
	}
	if len(refused) > 0 {
		return partly("not taken: "+strings.Join(refused, ", "), evidence...)
	}
	return yes("all that are known", evidence...)
}

func nativeDiff(h *host) Outcome {
	const dir = "/sys/module/overlay/parameters/"
	if !h.exists(dir) {
		return skip("overlay is not loaded", file(dir, ""))
	}
	var evidence []Evidence
	var on []string
	for _, p := range []string{"redirect_dir", "metacopy"} {
		v := h.text(dir + p)
		evidence = append(evidence, file(dir+p, v))
		if v == "Y" {
			on = append(on, p)
		}
	}
	if len(on) > 0 {
		return partly("on by default: "+strings.Join(on, ", "), evidence...)
	}
	return yes("", evidence...)
}

func entryTypes(h *host) Outcome {
	return h.scratchOutcome(func(a scratchAnswers) Outcome {
		ev := call("getdents64("+h.dir+")", a.dtypeOK)
		switch {
		case a.dtypeOK != nil:
			return h.fromErrno("getdents64("+h.dir+")", a.dtypeOK, "")
		case !a.dtype:
			ev.Value = "DT_UNKNOWN"
			return no("the file system of "+h.dir+" does not tell them", ev)
		}
		return yes("", ev)
	})
}

func reflink(h *host) Outcome {
	return h.scratchOutcome(func(a scratchAnswers) Outcome {
		m, _ := mountOf(h.mounts, h.dir)
		if errors.Is(a.reflink, unix.EOPNOTSUPP) || errors.Is(a.reflink, unix.EINVAL) || errors.Is(a.reflink, unix.ENOTTY) {
			return no(m.fsType+" at "+m.point+" has none", call("ioctl(FICLONE)", a.reflink))
		}
		return h.fromErrno("ioctl(FICLONE)", a.reflink, "on "+m.fsType)
	})
}

func projectQuota(h *host) Outcome {
	return h.scratchOutcome(func(a scratchAnswers) Outcome {
		m, _ := mountOf(h.mounts, h.dir)
		options := strings.Split(mergeOptions(m.options, m.super), ",")
		on := slices.ContainsFunc(options, func(o string) bool { return o == "prjquota" || o == "pquota" })
		mountEvidence := file("/proc/self/mountinfo", m.point+" "+m.fsType+" "+strings.Join(options, ","))
		switch {
		case m.fsType == "btrfs" || m.fsType == "zfs":
			return yes(m.fsType+" has quotas of its own for every subvolume", mountEvidence)
		case a.quota == nil:
			return yes("on "+m.fsType+" at "+m.point, call("quotactl_fd(Q_GETINFO, PRJQUOTA)", nil))
		case errors.Is(a.quota, unix.ESRCH), errors.Is(a.quota, unix.ENOTSUP):
			return no("off on "+m.fsType+" at "+m.point, call("quotactl_fd(Q_GETINFO, PRJQUOTA)", a.quota), mountEvidence)
		case on: // an old kernel, or no permission to ask: the mount options tell
			return yes("by its mount options", mountEvidence)
		case errors.Is(a.quota, unix.ENOSYS):
			return no("not among the mount options of "+m.point, mountEvidence)
		}
		return h.fromErrno("quotactl_fd(Q_GETINFO, PRJQUOTA)", a.quota, "")
	})
}

const leastFree, leastInodes = 5 << 30, 50_000

func freeSpace(h *host) Outcome {
	var st unix.Statfs_t
	if err := unix.Statfs(h.dir, &st); err != nil {
		return cannotTell(err.Error(), call("statfs("+h.dir+")", err))
	}
	free := st.Bavail * uint64(st.Bsize)
	ev := Evidence{Call: "statfs(" + h.dir + ")", Value: fmt.Sprintf("%d bytes, %d inodes free", free, st.Ffree)}
	switch {
	case free < leastFree:
		return partly(fmt.Sprintf("%.1f GiB are free on %s", float64(free)/(1<<30), h.dir), ev)
	case st.Files > 0 && st.Ffree < leastInodes: // btrfs counts none
		return partly(fmt.Sprintf("%d inodes are free on %s: layers are many small files", st.Ffree, h.dir), ev)
	}
	return yes(fmt.Sprintf("%.0f GiB free on %s", float64(free)/(1<<30), h.dir), ev)
}

func filesystem(name, option, module string) func(*host) Outcome {
	return func(h *host) Outcome {
		if h.hasFS(name) {
			return yes("registered", file("/proc/filesystems", name))
		}
		if o, ok := h.ready(option, module); !ok {
			return o
		}
		return no("the kernel has none", file("/proc/filesystems", "no "+name))
	}
}

func fuse(h *host) Outcome {
	o := filesystem("fuse", "FUSE_FS", "fuse")(h)
	if o.Answer == Yes && !h.exists("/dev/fuse") {
		return partly("the kernel has it, and /dev/fuse is not there", file("/dev/fuse", "")).withFix("mknod -m 666 /dev/fuse c 10 229")
	}
	return o
}

func loopDevices(h *host) Outcome {
	// Opening the node would load the module: /proc/devices tells first.
	if !strings.Contains(h.text("/proc/devices"), " loop\n") && !strings.HasSuffix(h.text("/proc/devices"), " loop") {
		if o, ok := h.ready("BLK_DEV_LOOP", "loop"); !ok {
			return o
		}
		return no("the kernel has none", file("/proc/devices", "no loop"))
	}
	err := probe.Loop()
	if errors.Is(err, os.ErrPermission) {
		return cannotTell("only root may open /dev/loop-control", call("open(/dev/loop-control)", err)).withFix(h.howToKnow())
	}
	return h.fromErrno("open(/dev/loop-control)", err, "")
}

func deviceMapper(h *host) Outcome {
	if !strings.Contains(h.text("/proc/misc"), "device-mapper") {
		if o, ok := h.ready("BLK_DEV_DM", "dm_mod"); !ok {
			return o
		}
		return no("the kernel has none", file("/proc/misc", "no device-mapper"))
	}
	_, err := probe.DeviceMapper()
	if errors.Is(err, os.ErrPermission) {
		return cannotTell("only root may open /dev/mapper/control", call("open(/dev/mapper/control)", err)).withFix(h.howToKnow())
	}
	return h.fromErrno("ioctl(DM_LIST_VERSIONS)", err, "")
}

func thinPools(h *host) Outcome {
	if o := deviceMapper(h); o.Answer != Yes || o.Detail != "" {
		return o
	}
	targets, err := probe.DeviceMapper()
	if v := targets["thin-pool"]; v != "" {
		return yes("target version "+v, call("ioctl(DM_LIST_VERSIONS)", err))
	}
	if o, ok := h.ready("DM_THIN_PROVISIONING", "dm_thin_pool"); !ok {
		return o
	}
	return no("device mapper has no target thin-pool", call("ioctl(DM_LIST_VERSIONS)", err))
}
