package hostcheck

import (
	"bufio"
	"bytes"
	"os"
	"strings"
)

// tools are the programs whose versions a run's record should hold, and the
// Debian packages that bring them.
var tools = []struct {
	name     string
	packages []string
}{
	{"runc", []string{"runc", "containerd.io"}},
	{"crun", []string{"crun"}},
	{"dockerd", []string{"docker-ce", "docker.io"}},
	{"containerd", []string{"containerd.io", "containerd"}},
	{"podman", []string{"podman"}},
	{"lxc-start", []string{"lxc"}},
	{"bwrap", []string{"bubblewrap"}},
	{"systemd-nspawn", []string{"systemd-container"}},
	{"kubelet", []string{"kubelet"}},
	{"criu", []string{"criu"}},
	{"fuse-overlayfs", []string{"fuse-overlayfs"}},
	{"mkfs.btrfs", []string{"btrfs-progs"}},
	{"mkfs.xfs", []string{"xfsprogs"}},
	{"iptables", []string{"iptables"}},
	{"nft", []string{"nftables"}},
	{"qemu-system-x86_64", []string{"qemu-system-x86"}},
	{"fio", []string{"fio"}},
}

// binDirs are searched in this order, as PATH usually is.
var binDirs = []string{"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}

// toolFacts gives the path of each tool that is installed, and the version of
// its package where dpkg or apk installed it. A tool in /usr/local belongs to
// no package; asking it would start a process, so its version stays unknown.
func toolFacts(t tree, _ inventory) map[string]string {
	f := map[string]string{}
	versions := packageVersions(t)
	for _, tool := range tools {
		path := findTool(t, tool.name)
		if path == "" {
			continue
		}
		f["tool."+tool.name] = path
		if strings.HasPrefix(path, "/usr/local/") {
			continue
		}
		for _, p := range tool.packages {
			if v := versions[p]; v != "" {
				f["tool."+tool.name+".version"] = v
				break
			}
		}
	}
	return f
}

func findTool(t tree, name string) string {
	for _, dir := range binDirs {
		if t.exists(dir + name) {
			return dir + name
		}
	}
	return ""
}

// packageVersions reads the databases of dpkg and apk for the packages named
// in tools.
func packageVersions(t tree) map[string]string {
	wanted := map[string]bool{}
	for _, tool := range tools {
		for _, p := range tool.packages {
			wanted[p] = true
		}
	}
	versions := map[string]string{}
	for _, db := range []struct{ path, name, version string }{
		{"/var/lib/dpkg/status", "Package: ", "Version: "},
		{"/lib/apk/db/installed", "P:", "V:"},
	} {
		f, err := os.Open(t.path(db.path))
		if err != nil {
			continue
		}
		pkg := ""
		lines := bufio.NewScanner(f)
		lines.Buffer(make([]byte, 64<<10), 1<<20)
		for lines.Scan() {
			line := lines.Bytes()
			if len(line) == 0 {
				pkg = ""
				continue
			}
			if rest, ok := bytes.CutPrefix(line, []byte(db.name)); ok {
				pkg = ""
				if wanted[string(rest)] {
					pkg = string(rest)
				}
			} else if rest, ok := bytes.CutPrefix(line, []byte(db.version)); ok && pkg != "" {
				versions[pkg] = string(rest)
			}
		}
		f.Close()
	}
	return versions
}
