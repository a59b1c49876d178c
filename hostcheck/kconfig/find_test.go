package kconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a tree of files under a new root.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFind(t *testing.T) {
	whole := generated(true) // of 6.1.119
	for _, tt := range []struct {
		name, release string
		files         map[string]string
		source, err   string
	}{
		{"the running kernel's own first", "6.1.119", map[string]string{"/proc/config.gz": string(zip(t, whole)), "/boot/config-6.1.119": "x"}, "/proc/config.gz", ""},
		{"Debian: the header has the real patch level", "6.1.0-28-amd64", map[string]string{"/boot/config-6.1.0-28-amd64": whole}, "/boot/config-6.1.0-28-amd64", ""},
		{"Fedora", "6.1.119-200.fc41.x86_64", map[string]string{"/lib/modules/6.1.119-200.fc41.x86_64/config": whole}, "/lib/modules/6.1.119-200.fc41.x86_64/config", ""},
		{"of another release", "6.12.9-amd64", map[string]string{"/boot/config-6.12.9-amd64": whole}, "", "is of Linux 6.1.119, and 6.12.9 is running"},
		{"Gentoo's tree, configured for the next kernel", "6.1.120", map[string]string{"/usr/src/linux/.config": whole}, "", "is of Linux 6.1.119, and 6.1.120 is running"},
		{"Gentoo's tree, the same", "6.1.119-gentoo", map[string]string{"/usr/src/linux/.config": whole}, "/usr/src/linux/.config", ""},
		{"no header, and a name that tells nothing", "6.1.119", map[string]string{"/boot/config": "CONFIG_X=y\n"}, "", "neither its name nor its header"},
		{"no header, and a name that tells", "6.1.119", map[string]string{"/boot/config-6.1.119": "CONFIG_X=y\n"}, "/boot/config-6.1.119", ""},
		{"cut short", "6.1.0-28-amd64", map[string]string{"/boot/config-6.1.0-28-amd64": whole[:len(whole)/2]}, "", "cut short"},
		{"cut short, and another place has it", "6.1.119", map[string]string{"/boot/config-6.1.119": whole[:99], "/lib/modules/6.1.119/config": whole}, "/lib/modules/6.1.119/config", ""},
		{"in a kernel that is not packed", "6.1.119", map[string]string{"/boot/vmlinux-6.1.119": "\x7fELF" + strings.Repeat("x", 9999) + "IKCFG_ST" + string(zip(t, whole)) + "IKCFG_ED"}, "/boot/vmlinux-6.1.119", ""},
		{"in a packed kernel", "6.1.119", map[string]string{"/boot/vmlinuz-6.1.119": bootSector() + string(zip(t, "\x7fELF stuff IKCFG_ST"+string(zip(t, whole)))) + "tail"}, "/boot/vmlinuz-6.1.119", ""},
		{"in a kernel packed otherwise", "6.1.119", map[string]string{"/boot/vmlinuz-6.1.119": bootSector() + "\x28\xb5\x2f\xfdxxxx"}, "", "zstd"},
		{"in a kernel without", "6.1.119", map[string]string{"/boot/vmlinuz-6.1.119": bootSector()}, "", "without CONFIG_IKCONFIG"},
		{"nowhere", "6.1.119", nil, "", "no configuration of kernel 6.1.119 in /proc/config.gz and 16 other places"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Find(write(t, tt.files), tt.release)
			if tt.err != "" {
				var missing *NotFoundError
				if !errors.As(err, &missing) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.Source != tt.source || !c.Version.Known() {
				t.Errorf("found %s of %v, want %s", c.Source, c.Version, tt.source)
			}
		})
	}
}

// bootSector is the start of an x86 kernel, by which it is known.
func bootSector() string {
	b := make([]byte, 0x400)
	copy(b[0x202:], "HdrS")
	return string(b)
}

func TestModules(t *testing.T) {
	var m Modules
	m.ReadDep(strings.NewReader("kernel/fs/overlayfs/overlay.ko.xz:\nkernel/net/bridge/bridge.ko: kernel/net/llc/llc.ko\nkernel/net/sctp/sctp.ko.zst:\nkernel/drivers/net/vxlan/vxlan.ko:\nkernel/crypto/ghash-generic.ko:\n"))
	m.ReadBuiltin(strings.NewReader("kernel/fs/ext4/ext4.ko\n"))
	m.ReadLoaded(strings.NewReader("bridge 311296 0 - Live 0x0000000000000000\n"))
	m.ReadModprobe(strings.NewReader("# blacklist overlay\nblacklist sctp\n"), "/etc/modprobe.d/x.conf")
	m.ReadCmdline("ro module_blacklist=vxlan,foo quiet")
	for _, tt := range []struct {
		name string
		want Availability
	}{
		{"overlay", Loadable}, {"bridge", Loaded}, {"sctp", Forbidden}, {"vxlan", Forbidden}, {"ext4", Builtin}, {"zfs", Absent},
		{"ghash-generic", Loadable}, {"ghash_generic", Loadable},
	} {
		if got, why := m.Of(tt.name); got != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, got, why, tt.want)
		}
	}
	m.ReadCmdline("nomodule")
	if got, why := m.Of("overlay"); got != Forbidden || !strings.Contains(why, "nomodule") {
		t.Errorf("with nomodule: %s (%s)", got, why)
	}
	if got, _ := m.Of("bridge"); got != Loaded {
		t.Errorf("with nomodule a loaded module is %s", got)
	}
}
