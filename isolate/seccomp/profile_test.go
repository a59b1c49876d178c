package seccomp

import (
	"slices"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	rule := func(rest string) string {
		return `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], ` + rest + `}]}`
	}
	for _, tt := range []struct{ text, want string }{
		{``, "EOF"},
		{`{}`, `defaultAction ""`},
		{`{"defaultAction": "SCMP_ACT_NOTIFY"}`, "not one that this program can take"},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "flags": []}`, `unknown field "flags"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW"} {}`, "more follows"},
		{rule(`"action": "allow"`), `syscalls[0] (read): action "allow"`},
		{rule(`"action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]`), "argument 6"},
		{rule(`"action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "=="}]`), `comparison "=="`},
		{rule(`"action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5"}`), `minKernel "5"`},
		{rule(`"action": "SCMP_ACT_ALLOW", "includes": {"kernel": "5"}`), `unknown field "kernel"`},
		{`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ERRNO"}]}`, "names no call"},
	} {
		if _, err := Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(docker)
	f.Add([]byte(`{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 5, "op": "SCMP_CMP_LE"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		for _, target := range targets[:2] {
			if filter, err := p.Filter(target); err == nil {
				simulate(t, filter)
			} else if !strings.Contains(err.Error(), "instructions") {
				t.Error(err)
			}
		}
	})
}

// TestNumbersAreThere: a call that Docker's profile names and that no table
// knows would be refused on the quiet.
func TestNumbersAreThere(t *testing.T) {
	elsewhere := []string{ // of architectures that are not ours
		"riscv_flush_icache", "riscv_hwprobe", "s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr", "swapcontext", "sync_file_range2",
	}
	for _, r := range Docker().Syscalls {
		for _, name := range r.Names {
			if _, ok := numbers()[name]; !ok && !slices.Contains(elsewhere, name) {
				t.Errorf("%s: no number", name)
			}
		}
	}
	if n := len(numbers()); n < 450 {
		t.Errorf("%d system calls", n)
	}
}

// TestOtherArchitecture is an error, not an empty filter.
func TestOtherArchitecture(t *testing.T) {
	if _, err := Docker().Filter(Target{Arch: "riscv64"}); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("got %v", err)
	}
}
