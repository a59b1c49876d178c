package vmtest

import (
	"slices"
	"strings"
	"testing"

	"plimsoll/internal/vmtest/guest"

	"github.com/google/go-cmp/cmp"
)

var compareModules = cmp.AllowUnexported(module{})

func TestParseModinfo(t *testing.T) {
	tests := []struct {
		name, section string
		want          module
	}{
		{"empty", "", module{}},
		{
			"xfs", "license=GPL\x00alias=fs-xfs\x00depends=libcrc32c,exportfs\x00name=xfs\x00",
			module{depends: []string{"libcrc32c", "exportfs"}, aliases: []string{"fs-xfs"}},
		},
		{
			"btrfs", "softdep=post: xor\x00softdep=pre: crc32c raid6\x00alias=devname:btrfs-control\x00alias=char-major-10-234\x00depends=\x00",
			module{softdep: []string{"xor", "crc32c", "raid6"}, aliases: []string{"devname:btrfs-control", "char-major-10-234"}},
		},
		{"torn", "depends=a\x00alia", module{depends: []string{"a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, parseModinfo([]byte(tt.section)), compareModules); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func FuzzParseModinfo(f *testing.F) {
	f.Add([]byte("depends=a,b\x00alias=fs-x\x00softdep=pre: c\x00"))
	f.Fuzz(func(t *testing.T, section []byte) {
		m := parseModinfo(section)
		if slices.Contains(m.depends, "") || slices.Contains(m.softdep, "") {
			t.Errorf("empty name in %+v", m)
		}
	})
}

func TestModuleName(t *testing.T) {
	for file, want := range map[string]string{
		"/m/kernel/drivers/md/dm-thin-pool.ko":  "dm_thin_pool",
		"/m/kernel/fs/overlayfs/overlay.ko.xz":  "overlay",
		"/m/kernel/net/xt_conntrack.ko.zst":     "xt_conntrack",
		"/m/kernel/crypto/crc32c_generic.ko.gz": "crc32c_generic",
	} {
		if got := moduleName(file); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

// TestIndexes has a diamond (top needs left and right, both need base), written
// in the order that a search by breadth gets wrong, a soft dependency in a
// circle, and one that is built in.
func TestIndexes(t *testing.T) {
	dep, alias := indexes(map[string]module{
		"top":       {path: "t.ko", depends: []string{"base", "left", "right"}, aliases: []string{"fs-top", "top-*"}},
		"left":      {path: "l.ko", depends: []string{"base"}},
		"right":     {path: "r.ko", depends: []string{"base", "built-in"}},
		"base":      {path: "b.ko", softdep: []string{"self-test"}},
		"self_test": {path: "s.ko", depends: []string{"base"}},
	})
	wantDep := strings.Join([]string{
		"b.ko: ",
		"l.ko: b.ko",
		"r.ko: b.ko",
		"s.ko: b.ko",
		"t.ko: r.ko l.ko b.ko",
	}, "\n") + "\n"
	if d := cmp.Diff(wantDep, dep); d != "" {
		t.Errorf("modules.dep (-want +got):\n%s", d)
	}
	if want := "alias fs-top top\nalias top-* top\n"; alias != want {
		t.Errorf("modules.alias: got %q, want %q", alias, want)
	}
}

func TestStaticNodes(t *testing.T) {
	got := staticNodes(map[string]module{
		"tun":    {aliases: []string{"devname:net/tun", "char-major-10-200", "rtnl-link-tun"}},
		"loop":   {aliases: []string{"devname:loop-control", "char-major-10-237", "block-major-7-*"}},
		"vhost":  {aliases: []string{"devname:vhost"}},
		"legacy": {aliases: []string{"char-major-4-*"}},
	})
	want := []guest.Node{{Name: "loop-control", Major: 10, Minor: 237}, {Name: "net/tun", Major: 10, Minor: 200}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
