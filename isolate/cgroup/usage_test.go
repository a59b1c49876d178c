package cgroup

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func known64(v float64) Reading { return Reading{v, true} }

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parse func(files, *Usage)
		files map[string]string
		want  Usage
	}{
		{"nothing there", unifiedUsage, nil, Usage{}},
		{"v2 without the cpu controller", unifiedUsage,
			map[string]string{"cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnice_usec 0\ncore_sched.force_idle_usec 0\n"},
			Usage{CPU: CPUUsage{Total: known64(1.5), User: known64(1), System: known64(0.5)}}},
		{"v2 with it", unifiedUsage,
			map[string]string{"cpu.stat": "usage_usec 1\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\nnr_bursts 0\n"},
			Usage{CPU: CPUUsage{Total: known64(1e-6), Periods: known64(10), Throttled: known64(4), ThrottledTime: known64(0.25)}}},
		{"v1 cpu", cpuUsageV1,
			map[string]string{"cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\n"},
			Usage{CPU: CPUUsage{Periods: known64(10), Throttled: known64(4), ThrottledTime: known64(0.25)}}},
		{"v1 cpuacct", cpuacctUsage,
			map[string]string{"cpuacct.usage": "1234000000\n", "cpuacct.stat": "user 100\nsystem 23\n"},
			Usage{CPU: CPUUsage{Total: known64(1.234), User: known64(1), System: known64(0.23)}}},
		{"v2 memory without a peak", memoryUsageV2,
			map[string]string{"memory.current": "4096\n", "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"},
			Usage{Memory: MemoryUsage{Current: known64(4096), AtLimit: known64(7), OOM: known64(2), OOMKills: known64(1)}}},
		{"v2 memory", memoryUsageV2,
			map[string]string{"memory.current": "0\n", "memory.peak": "8192\n"},
			Usage{Memory: MemoryUsage{Current: known64(0), Peak: known64(8192)}}},
		{"v1 memory", memoryUsageV1,
			map[string]string{"memory.usage_in_bytes": "4096\n", "memory.max_usage_in_bytes": "8192\n", "memory.failcnt": "3\n",
				"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"},
			Usage{Memory: MemoryUsage{Current: known64(4096), Peak: known64(8192), AtLimit: known64(3), OOMKills: known64(1)}}},
		{"pids", pidsUsage,
			map[string]string{"pids.current": "3\n", "pids.peak": "5\n", "pids.events": "max 2\n"},
			Usage{PIDs: PIDUsage{known64(3), known64(5), known64(2)}}},
		{"v2 io of two devices, one newer than the kernel's document", ioUsageV2,
			map[string]string{"io.stat": "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n254:0 rbytes=50 wbytes=0 rios=5 wios=0 cost.usage=9\n7:0 \n"},
			Usage{IO: IOUsage{known64(150), known64(200), known64(6), known64(2)}}},
		{"v2 io, none yet", ioUsageV2, map[string]string{"io.stat": ""},
			Usage{IO: IOUsage{known64(0), known64(0), known64(0), known64(0)}}},
		{"v1 io", ioUsageV1,
			map[string]string{
				"blkio.throttle.io_service_bytes_recursive": "8:0 Read 100\n8:0 Write 200\n8:0 Sync 300\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 300\n254:0 Read 50\n254:0 Write 0\nTotal 350\n",
				"blkio.throttle.io_serviced_recursive":      "8:0 Read 1\n8:0 Write 2\n254:0 Read 5\n254:0 Write 0\nTotal 8\n"},
			Usage{IO: IOUsage{known64(150), known64(200), known64(6), known64(2)}}},
		{"v1 io of devices that nobody throttles", ioUsageV1,
			map[string]string{"blkio.throttle.io_service_bytes_recursive": "Total 0\n", "blkio.throttle.io_serviced_recursive": "Total 0\n"},
			Usage{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Usage
			tt.parse(func(name string) []byte {
				if s, ok := tt.files[name]; ok {
					return []byte(s)
				}
				return nil
			}, &got)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzUsage: whatever a file holds, no reading is negative, infinite or no number, and an unknown one is 0.
func FuzzUsage(f *testing.F) {
	for _, s := range []string{"", "max\n", "1\n", "usage_usec 12\nuser_usec x\n", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n",
		"8:0 Read 4096\n8:0 Write\nTotal 4096\n", "max 1\noom 2\noom_kill 99999999999999999999\n", "oom_kill -1\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var u Usage
		read := func(string) []byte { return b }
		unifiedUsage(read, &u)
		for i := range controllers {
			for _, v := range []version{controllers[i].v1, controllers[i].v2} {
				if v.usage != nil {
					v.usage(read, &u)
				}
			}
		}
		c, m, d, p := u.CPU, u.Memory, u.IO, u.PIDs
		for _, r := range []Reading{c.Total, c.User, c.System, c.Periods, c.Throttled, c.ThrottledTime, m.Current, m.Peak, m.AtLimit, m.OOM, m.OOMKills,
			d.ReadBytes, d.WriteBytes, d.ReadOps, d.WriteOps, p.Current, p.Peak, p.Refused} {
			if !(r.Value >= 0) || math.IsInf(r.Value, 0) || !r.Known && r.Value != 0 {
				t.Fatalf("%q gives %+v", b, r)
			}
		}
	})
}

func TestPressure(t *testing.T) {
	got := parsePressure([]byte("some avg10=1.00 avg60=2.50 avg300=100.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"))
	want := Pressure{
		Some: Stall{known64(0.01), known64(0.025), known64(1), known64(1.5)},
		Full: Stall{known64(0), known64(0), known64(0), known64(0)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzPressure(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=NaN avg60=-1 avg300=1e9 total=x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := parsePressure(b)
		for _, s := range []Stall{p.Some, p.Full} {
			for _, r := range []Reading{s.Avg10, s.Avg60, s.Avg300} {
				if !(r.Value >= 0 && r.Value <= 1) {
					t.Fatalf("%q gives %+v", b, r)
				}
			}
		}
	})
}

func FuzzPIDs(f *testing.F) {
	f.Add([]byte("1\n22\n0\n"))
	f.Add([]byte("-1\n99999999999"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pids, _ := pidList(b)
		for _, pid := range pids {
			if pid < 0 {
				t.Fatalf("%q gives pid %d", b, pid) // kill(-1) is everybody
			}
		}
	})
}
