package cgroup

import (
	"math"
	"regexp"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	disk := func(d IOLimit) Limits { return Limits{IO: []IOLimit{d}} }
	for _, tt := range []struct {
		name   string
		limits Limits
		want   string // in the message; "" is valid
	}{
		{"nothing", Limits{}, ""},
		{"everything", Limits{CPU: 1.5, CPUPeriod: 50_000, CPUWeight: 200, CPUSet: "0-1,3", Mems: "0", Memory: 64 << 20, PIDs: 100,
			IO: []IOLimit{{Device: "254:0", ReadBPS: 1}, {Device: "8:0", WriteIOPS: 1}}}, ""},
		{"the rest", Limits{Memory: 64 << 20, Swap: NoSwap, IOWeight: 10_000, Hugetlb: []HugetlbLimit{{2 << 20, 0}}, Devices: DockerDevices,
			NetClass: 0x10001, NetPriority: map[string]uint32{"lo": 5}}, ""},
		{"swap alone", Limits{Swap: 1 << 20}, "no meaning without a memory limit"},
		{"negative swap", Limits{Memory: 1 << 20, Swap: -2}, "swap -2"},
		{"so much swap", Limits{Memory: 1 << 20, Swap: math.MaxInt64}, "swap 9223372036854775807"},
		{"I/O weight", Limits{IOWeight: 10_001}, "io_weight 10001"},
		{"huge page size", Limits{Hugetlb: []HugetlbLimit{{3 << 20, 0}}}, "power of 2"},
		{"part of a huge page", Limits{Hugetlb: []HugetlbLimit{{2 << 20, 1 << 20}}}, "whole pages"},
		{"device type", Limits{Devices: []Device{{'x', 1, 3, "r"}}}, "must be c or b"},
		{"device number", Limits{Devices: []Device{{'c', 4096, 3, "r"}}}, "c 4096:3 r: no such number"},
		{"device access", Limits{Devices: []Device{{'c', 1, AnyDevice, "rx"}}}, "c 1:* rx: access"},
		{"interface", Limits{NetPriority: map[string]uint32{"a b": 1}}, `interface "a b"`},
		{"least quota", Limits{CPU: 0.01}, ""},
		{"quota too small", Limits{CPU: 0.0099}, "quota of 990 µs"},
		{"quota too small for the period", Limits{CPU: 0.5, CPUPeriod: 1000}, "quota of 500 µs"},
		{"negative CPU", Limits{CPU: -1}, "cpu -1"},
		{"no number", Limits{CPU: math.NaN()}, "cpu NaN"},
		{"infinite", Limits{CPU: math.Inf(1)}, "cpu +Inf"},
		{"period too long", Limits{CPU: 1, CPUPeriod: 1_000_001}, "cpu_period 1000001"},
		{"period alone", Limits{CPUPeriod: 50_000}, "no meaning without"},
		{"weight too big", Limits{CPUWeight: 10_001}, "cpu_weight 10001"},
		{"cpuset backwards", Limits{CPUSet: "3-1"}, "backwards"},
		{"cpuset not a number", Limits{CPUSet: "0,x"}, `"x" is neither`},
		{"cpuset empty part", Limits{CPUSet: "0,"}, `"" is neither`},
		{"mems", Limits{Mems: "-1"}, `mems "-1"`},
		{"memory too small", Limits{Memory: 4096}, "512 KiB"},
		{"memory negative", Limits{Memory: -1}, "memory -1"},
		{"pids negative", Limits{PIDs: -1}, "pids -1"},
		{"too many pids", Limits{PIDs: 1<<22 + 1}, "pids 4194305"},
		{"device path", disk(IOLimit{Device: "/dev/sda", ReadBPS: 1}), "MAJOR:MINOR"},
		{"device major", disk(IOLimit{Device: "4096:0", ReadBPS: 1}), "MAJOR:MINOR"},
		{"device and more", disk(IOLimit{Device: "8:0 rbps=1", ReadBPS: 1}), "MAJOR:MINOR"},
		{"no rate", disk(IOLimit{Device: "8:0"}), "no rate"},
		{"negative rate", disk(IOLimit{Device: "8:0", ReadBPS: -1, WriteBPS: 1}), "negative"},
		{"too many operations", disk(IOLimit{Device: "8:0", ReadIOPS: 1 << 32}), "32 bits"},
		{"device twice", Limits{IO: []IOLimit{{Device: "8:0", ReadBPS: 1}, {Device: "8:0", WriteBPS: 1}}}, "twice"},
		{"all faults are named", Limits{CPU: -1, PIDs: -1}, "pids -1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.limits.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSharesFromWeight(t *testing.T) {
	for weight, shares := range map[int]int{1: 10, 50: 512, 100: 1024, 200: 2048, 10_000: 102_400} {
		if got := SharesFromWeight(weight); got != shares {
			t.Errorf("weight %d: %d shares, want %d", weight, got, shares)
		}
	}
}

func FuzzList(f *testing.F) {
	for _, s := range []string{"", "0", "0-3,7", "3-1", "0-", "0,,1", "99999999999999999999", "0-31:2/16"} {
		f.Add(s)
	}
	grammar := regexp.MustCompile(`^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		if checkList(s) == nil && !grammar.MatchString(s) {
			t.Errorf("accepted %q", s)
		}
	})
}

func TestBFQWeight(t *testing.T) {
	for weight, bfq := range map[int]int{1: 1, 100: 100, 200: 109, 10_000: 1000} {
		if got := BFQWeight(weight); got != bfq {
			t.Errorf("weight %d: %d, want %d", weight, got, bfq)
		}
	}
}
