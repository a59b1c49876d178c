package vmtest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"plimsoll/internal/vmtest/guest"
)

// bootModules are what init needs itself, and loads.
var bootModules = []string{"virtio_pci", "virtio_blk", "virtio_console", "ext4"}

// demandModules can be loaded on demand, by the kernel through /sbin/modprobe
// as on any host: what the tests may ask for. A kernel that does not have one
// of them has it built in, or lacks it, and a test will tell.
var demandModules = []string{
	"overlay", "btrfs", "xfs", "fuse", "squashfs", "erofs",
	"loop", "dm_thin_pool", "dm_snapshot", "null_blk", "zram", "bfq",
	"veth", "bridge", "br_netfilter", "dummy", "macvlan", "ipvlan", "tun",
	"nf_tables", "nft_chain_nat", "nft_nat", "nft_masq", "nft_ct", "nft_compat",
	"ip_tables", "iptable_nat", "iptable_filter", "xt_MASQUERADE", "xt_conntrack",
	"cls_cgroup", "netprio_cgroup",
	"crc32c_generic", "xxhash_generic", "blake2b_generic", "sha256_generic", // btrfs's checksums
}

// module is what a kernel module says of itself.
type module struct {
	path    string // below the modules' root, as in kernel/fs/overlayfs/overlay.ko
	depends []string
	softdep []string
	aliases []string
}

// parseModinfo reads the .modinfo section of a module: NUL-terminated key=value
// strings (include/linux/moduleparam.h, MODULE_INFO).
func parseModinfo(section []byte) module {
	var m module
	for kv := range bytes.SplitSeq(section, []byte{0}) {
		key, value, _ := strings.Cut(string(kv), "=")
		switch key {
		case "depends":
			m.depends = append(m.depends, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "softdep":
			for _, f := range strings.Fields(value) {
				if !strings.HasSuffix(f, ":") { // "pre:" and "post:"
					m.softdep = append(m.softdep, f)
				}
			}
		case "alias":
			m.aliases = append(m.aliases, value)
		}
	}
	return m
}

// moduleName is the name that modprobe knows a file by.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// addModules puts into t the wanted modules of a kernel with all they depend on,
// and the indexes by which busybox modprobe finds them. Debian's packages come
// without indexes (they are made on installation), so the modules are asked.
// It returns the modules packed, by name.
func addModules(t tree, k Kernel, wanted []string) (map[string]module, error) {
	files := map[string]string{}
	err := filepath.WalkDir(k.Modules, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(d.Name(), ".ko") {
			files[moduleName(p)] = p
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	packed := map[string]module{}
	for queue := slices.Clone(wanted); len(queue) > 0; queue = queue[1:] {
		name := strings.ReplaceAll(queue[0], "-", "_")
		file, ok := files[name]
		if _, done := packed[name]; done || !ok {
			continue
		}
		content, err := readModule(file)
		if err != nil {
			return nil, err
		}
		f, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("kernel module %s: %w", file, err)
		}
		section, err := f.Section(".modinfo").Data()
		if err != nil {
			return nil, fmt.Errorf("kernel module %s: section .modinfo: %w", file, err)
		}
		m := parseModinfo(section)
		rel, err := filepath.Rel(k.Modules, file)
		if err != nil {
			return nil, err
		}
		stem, _, _ := strings.Cut(rel, ".ko") // .ko, .ko.xz, .ko.zst
		m.path = stem + ".ko"
		packed[name] = m
		t.text(k.guestModules()+m.path, string(content))
		queue = append(queue, append(m.depends, m.softdep...)...)
	}
	dep, alias := indexes(packed)
	t.text(k.guestModules()+"modules.dep", dep)
	t.text(k.guestModules()+"modules.alias", alias)
	return packed, nil
}

// readModule reads a module, decompressed: not every kernel can do that itself.
func readModule(file string) ([]byte, error) {
	tool := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(file)]
	if tool == "" {
		return os.ReadFile(file)
	}
	out, err := exec.Command(tool, "-dc", file).Output()
	if err != nil {
		return nil, fmt.Errorf("decompress %s with %s: %w", file, tool, err)
	}
	return out, nil
}

// indexes writes modules.dep and modules.alias, see modules.dep(5): a module's
// line lists all that must be loaded before it, the first to load last.
func indexes(packed map[string]module) (dep, alias string) {
	var d, a strings.Builder
	for _, name := range slices.Sorted(maps.Keys(packed)) {
		order := loadOrder(packed, name, nil)
		slices.Reverse(order)
		fmt.Fprintf(&d, "%s: %s\n", order[0], strings.Join(order[1:], " "))
		for _, al := range packed[name].aliases {
			fmt.Fprintf(&a, "alias %s %s\n", al, name)
		}
	}
	return d.String(), a.String()
}

// staticNodes lists the device nodes by which modules are loaded, as depmod does
// for modules.devname: of modules with two aliases such as "devname:net/tun" and
// "char-major-10-200". On a host systemd makes them at boot.
func staticNodes(packed map[string]module) []guest.Node {
	var all []guest.Node
	for _, name := range slices.Sorted(maps.Keys(packed)) {
		var n guest.Node
		for _, a := range packed[name].aliases {
			if d, ok := strings.CutPrefix(a, "devname:"); ok {
				n.Name = d
			}
			fmt.Sscanf(a, "char-major-%d-%d", &n.Major, &n.Minor) // others have no number
		}
		if n.Name != "" && n.Major != 0 {
			all = append(all, n)
		}
	}
	return all
}

// loadOrder appends to order the paths of what name needs and of name itself.
// Soft dependencies can go in circles, and need only be there to be asked for.
func loadOrder(packed map[string]module, name string, order []string) []string {
	m, ok := packed[name]
	if !ok || slices.Contains(order, m.path) {
		return order
	}
	for _, d := range m.depends {
		order = loadOrder(packed, strings.ReplaceAll(d, "-", "_"), order)
	}
	return append(order, m.path)
}
