package storagebench

import (
	"strings"
	"testing"
)

func TestLVMDeviceNames(t *testing.T) {
	for _, c := range []struct{ group, volume, want string }{
		{"vg", "pool", "vg-pool"},
		{"plimsoll-12", "c-a", "plimsoll--12-c--a"},
		{"plimsoll-12", "", "plimsoll--12-"},
	} {
		if got := lvmDM(c.group, c.volume); got != c.want {
			t.Errorf("%s/%s is %s, want %s", c.group, c.volume, got, c.want)
		}
	}
}

func TestLVMSeesOneDevice(t *testing.T) {
	const want = `filter=["a|^/dev/mapper/a\.b$|","r|.*|"]`
	config := lvmConfig("/dev/mapper/a.b")
	if strings.Count(config, want) != 2 { // and global_filter
		t.Errorf("%s in %s", want, config)
	}
}

func TestThinMetadata(t *testing.T) {
	for _, c := range []struct{ pool, want int64 }{
		{64 << 20, 4 << 20},
		{8 << 30, 128 << 20},
		{8<<30 + 12345, 128 << 20},
		{100 << 40, 8 << 30},
	} {
		got := thinMetadata(c.pool)
		if got != c.want || got%blockSize != 0 {
			t.Errorf("for %d bytes %d, want %d", c.pool, got, c.want)
		}
	}
}
