package dm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Of Linux 6.1.
const healthy = "1 40/1024 1234/2032 - rw no_discard_passdown error_if_no_space - 1024"

func TestParseThinUsage(t *testing.T) {
	for _, c := range []struct {
		status     string
		want       ThinUsage
		full, fine bool
	}{
		{healthy, ThinUsage{40, 1024, 1234, 2032, 65536, "rw"}, false, true},
		{"0 9/1024 2032/2032 - out_of_data_space discard_passdown error_if_no_space -", ThinUsage{9, 1024, 2032, 2032, 65536, "out_of_data_space"}, true, true},
		{"0 1024/1024 1/2032 - ro discard_passdown error_if_no_space needs_check 0", ThinUsage{1024, 1024, 1, 2032, 65536, "ro"}, true, true},
		{"Fail", ThinUsage{BlockSize: 65536, Mode: "Fail"}, false, false},
		{"", ThinUsage{BlockSize: 65536}, false, false},
		{"0 9/x 1/2 - rw", ThinUsage{BlockSize: 65536}, false, false},
		{"0 9/10 3/2 - rw", ThinUsage{MetadataUsed: 9, MetadataTotal: 10, BlockSize: 65536}, false, false},
	} {
		got, err := ParseThinUsage(c.status, 65536)
		if (err == nil) != c.fine {
			t.Errorf("%q: %v", c.status, err)
		}
		if !c.fine {
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.status, d)
		}
		if got.Full() != c.full {
			t.Errorf("%q: full is %v", c.status, got.Full())
		}
	}
}

func TestThinUsageInBytes(t *testing.T) {
	u, err := ParseThinUsage(healthy, 65536)
	if err != nil {
		t.Fatal(err)
	}
	if used, free := u.Used(), u.Free(); used != 40*4096+1234*65536 || free != (2032-1234)*65536 {
		t.Errorf("used %d, free %d", used, free)
	}
}

func FuzzParseThinUsage(f *testing.F) {
	f.Add(healthy)
	f.Add("Fail")
	f.Fuzz(func(t *testing.T, status string) {
		u, err := ParseThinUsage(status, 1<<30)
		if err == nil && (u.Used() < 0 || u.Free() < 0) {
			t.Errorf("%q: %+v", status, u)
		}
	})
}
