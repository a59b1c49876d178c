package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	scratch     = "/scratch" // ext4 on its own disk: an overlay's upper layer cannot be on the initramfs
	scratchDisk = "/dev/vda"
	cgroupRoot  = "/sys/fs/cgroup"
	userHome    = "/home/" + UserName
	userRuntime = "/run/user/1000"

	// Where systemd would put a service of the machine and one of the user.
	rootScope = "system.slice/vmtest.service"
	userScope = userManager + "/app.slice/vmtest.service"
	// userManager is what systemd delegates to the user's own manager.
	userManager = "user.slice/user-1000.slice/user@1000.service"
)

// fixed are the mounts that every host has, in order.
var fixed = []struct {
	fstype, target string
	flags          uintptr
	data           string
}{
	{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=755"},
	{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=620,gid=5,ptmxmode=666"},
	{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
}

func setUp(job Job) error {
	if err := leaveInitramfs(); err != nil {
		return err
	}
	for _, m := range fixed {
		if err := mount(m.fstype, m.fstype, m.target, m.flags, m.data); err != nil {
			return err
		}
	}
	for _, m := range job.Modules {
		if out, err := exec.Command("/sbin/modprobe", m).CombinedOutput(); err != nil {
			return fmt.Errorf("load module %s: %w: %s", m, err, out)
		}
	}
	for _, n := range job.Nodes {
		if err := makeNode(n); err != nil {
			return err
		}
	}
	if err := mount("ext4", scratchDisk, scratch, 0, ""); err != nil {
		return err
	}
	if job.Swap > 0 {
		const file = scratch + "/swap"
		make := fmt.Sprintf("fallocate -l %dM %s && chmod 600 %[2]s && mkswap %[2]s && swapon %[2]s", job.Swap, file)
		if out, err := exec.Command("/bin/sh", "-c", make).CombinedOutput(); err != nil {
			return fmt.Errorf("swap on %s: %w: %s", file, err, out)
		}
	}
	if !job.systemd() { // which mounts them itself
		if err := mountCgroups(job.Cgroup); err != nil {
			return err
		}
	}
	for _, d := range []struct {
		path string
		mode os.FileMode
		uid  int
	}{
		{scratch + "/tmp", 0o777 | os.ModeSticky, 0},
		{userHome, 0o700, UserID},
		{userRuntime, 0o700, UserID},
	} {
		if err := makeDir(d.path, d.mode, d.uid); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("vmtest")); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return loopbackUp()
}

// leaveInitramfs moves a bind mount of the root onto the root. pivot_root(2)
// refuses to leave the initial root file system, because nothing is mounted
// under it; from a mount on top of it, containers can pivot. Nothing is copied.
func leaveInitramfs() error {
	const newRoot = "/newroot"
	if err := mount("", "/", newRoot, unix.MS_BIND, ""); err != nil {
		return err
	}
	if err := unix.Chdir(newRoot); err != nil {
		return fmt.Errorf("chdir %s: %w", newRoot, err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to /: %w", newRoot, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot %s: %w", newRoot, err)
	}
	// As systemd leaves it: containers must not rely on private propagation.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	return os.Chdir("/")
}

func mount(fstype, source, target string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	return nil
}

func makeDir(dir string, mode os.FileMode, uid int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, mode); err != nil { // the umask took some away
		return err
	}
	return os.Chown(dir, uid, uid)
}

// makeNode makes what kmod-static-nodes.service makes. The mode is that of
// systemd's 50-udev-default.rules, without a group: what a user may open, he may.
func makeNode(n Node) error {
	p := "/dev/" + n.Name
	if err := os.MkdirAll(path.Dir(p), 0o755); err != nil {
		return err
	}
	mode := uint32(0o600)
	if n.Name == "net/tun" || n.Name == "fuse" {
		mode = 0o666
	}
	err := unix.Mknod(p, unix.S_IFCHR|mode, int(unix.Mkdev(n.Major, n.Minor)))
	if err != nil && err != unix.EEXIST { // its module is loaded, or built in
		return fmt.Errorf("mknod %s: %w", p, err)
	}
	return os.Chmod(p, os.FileMode(mode))
}

// mountCgroups lays the hierarchies out as systemd does for
// systemd.unified_cgroup_hierarchy=1 (v2), =0 with
// systemd.legacy_systemd_cgroup_controller=1 (v1) or without (hybrid).
func mountCgroups(layout string) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if layout == "v2" {
		if err := mount("cgroup2", "cgroup2", cgroupRoot, flags, "nsdelegate"); err != nil {
			return err
		}
		return delegate()
	}
	if err := mount("tmpfs", "tmpfs", cgroupRoot, flags, "mode=755"); err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return err
	}
	for _, h := range hierarchies(string(table)) {
		err := mount("cgroup", "cgroup", cgroupRoot+"/"+h, flags, h)
		if errors.Is(err, unix.EINVAL) { // listed, but only for v2: CONFIG_CPUSETS_V1=n, CONFIG_MEMCG_V1=n
			fmt.Fprintln(os.Stderr, "vmtest init:", err)
			continue
		}
		if err != nil {
			return err
		}
		if first, second, joined := strings.Cut(h, ","); joined {
			for _, name := range []string{first, second} {
				if err := os.Symlink(h, cgroupRoot+"/"+name); err != nil {
					return err
				}
			}
		}
	}
	if err := mount("cgroup", "cgroup", cgroupRoot+"/systemd", flags, "none,name=systemd"); err != nil {
		return err
	}
	if layout == "hybrid" {
		return mount("cgroup2", "cgroup2", cgroupRoot+"/unified", flags, "nsdelegate")
	}
	return nil
}

// delegate makes the parents of the two scopes, with every controller enabled
// down to them, and gives the user what systemd's Delegate=yes would.
func delegate() error {
	b, err := os.ReadFile(cgroupRoot + "/cgroup.controllers")
	if err != nil {
		return err
	}
	enable := ""
	for _, c := range strings.Fields(string(b)) {
		enable += "+" + c + " "
	}
	for _, scope := range []string{rootScope, userScope} {
		dir := cgroupRoot
		for _, name := range strings.Split(path.Dir(scope)+"/.", "/") {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte(enable), 0); err != nil {
				return fmt.Errorf("enable controllers: %w", err)
			}
			dir = path.Join(dir, name)
		}
	}
	for _, dir := range []string{userManager, path.Dir(userScope)} {
		if err := chownCgroup(cgroupRoot+"/"+dir, UserID); err != nil {
			return err
		}
	}
	return nil
}

// hierarchies says which v1 hierarchies to mount, given /proc/cgroups.
func hierarchies(table string) []string {
	joined := map[string]string{"cpu": "cpu,cpuacct", "net_cls": "net_cls,net_prio"}
	member := map[string]bool{"cpuacct": true, "net_prio": true}
	var all []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line) // name, hierarchy, cgroups, enabled
		if len(f) != 4 || f[3] != "1" || member[f[0]] {
			continue
		}
		if j, ok := joined[f[0]]; ok {
			f[0] = j
		}
		all = append(all, f[0])
	}
	return all
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
