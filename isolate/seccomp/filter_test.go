package seccomp

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"
)

// call is what the kernel shows a filter.
type call struct {
	nr, arch uint32
	args     [6]uint64
}

type fataler interface{ Fatal(...any) }

// simulate makes a filter a function, by the virtual machine of x/net/bpf.
// That one is for packets and reads words in network order, so that is how
// they are laid out for it.
func simulate(t fataler, f *Filter) func(call) uint32 {
	var code []bpf.Instruction
	for i := range f.Len() {
		b := []byte(f.Code()[i*instructionSize:])
		raw := bpf.RawInstruction{Op: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:])}
		code = append(code, raw.Disassemble())
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return func(c call) uint32 {
		data := make([]byte, offsetArgs+6*8)
		binary.BigEndian.PutUint32(data[offsetNumber:], c.nr)
		binary.BigEndian.PutUint32(data[offsetArch:], c.arch)
		for i, a := range c.args {
			binary.BigEndian.PutUint32(data[low(i):], uint32(a))
			binary.BigEndian.PutUint32(data[high(i):], uint32(a>>32))
		}
		n, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
}

func assemble(t fataler, p *Profile, target Target) *Filter {
	f, err := p.Filter(target)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// expected reads the profile once more, rule by rule and without a tree.
func expected(p *Profile, t Target, c call) uint32 {
	for _, a := range p.allowed(abis[t.Arch]) {
		x32 := c.arch == auditX8664 && c.nr >= x32Bit
		if c.arch != a.audit || x32 != (a.bit != 0) {
			continue
		}
		if x32 && c.nr&^x32Bit < 512 { // see withX32
			a = abis["amd64"][0]
			c.nr &^= x32Bit
		}
		plain, last := uint32(0), none
		decided := false
		for _, r := range p.Syscalls {
			if !r.applies(t) {
				continue
			}
			named := false
			for _, name := range r.Names {
				row, ok := numbers()[name]
				if !ok || row[a.column] == none {
					continue
				}
				last = max(last, row[a.column])
				named = named || uint32(row[a.column]) == c.nr&^a.bit
			}
			if !named {
				continue
			}
			if len(r.Args) == 0 {
				if !decided {
					plain, decided = result(r.Action, r.ErrnoRet), true
				}
				continue
			}
			for _, args := range alternatives(r.Args) {
				if !slices.ContainsFunc(args, func(a Arg) bool { return !holds(a, c.args[a.Index]) }) {
					return result(r.Action, r.ErrnoRet)
				}
			}
		}
		switch {
		case decided:
			return plain
		case int(c.nr&^a.bit) > last:
			return result("SCMP_ACT_ERRNO", &newer)
		}
		return result(p.DefaultAction, p.DefaultErrnoRet)
	}
	return killThread
}

func holds(a Arg, v uint64) bool {
	switch a.Op {
	case "SCMP_CMP_EQ":
		return v == a.Value
	case "SCMP_CMP_NE":
		return v != a.Value
	case "SCMP_CMP_GT":
		return v > a.Value
	case "SCMP_CMP_GE":
		return v >= a.Value
	case "SCMP_CMP_LT":
		return v < a.Value
	case "SCMP_CMP_LE":
		return v <= a.Value
	}
	return v&a.Value == a.ValueTwo
}

var dockerCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

var targets = []Target{
	{"amd64", 6012, dockerCaps}, {"arm64", 6012, dockerCaps}, {"amd64", 4007, nil},
	{"amd64", 6012, append([]string{"CAP_SYS_ADMIN", "CAP_BPF", "CAP_SYS_TIME"}, dockerCaps...)},
}

// TestDockerFilter tries every number of every ABI against the profile.
func TestDockerFilter(t *testing.T) {
	for _, target := range targets {
		f := assemble(t, Docker(), target)
		t.Logf("%s, Linux %d, %d capabilities: %d instructions", target.Arch, target.Kernel, len(target.Capabilities), f.Len())
		verdict := simulate(t, f)
		for _, arch := range []uint32{0xc000003e, 0x40000003, 0xc00000b7, 0x40000028, 0x80000016} {
			for base, n := range map[uint32]uint32{0: 512, x32Bit: 512 + 64, 0xf0000: 16, 1 << 31: 16, 0xfffffff0: 16} {
				for nr := base; nr-base < n; nr++ {
					for _, first := range []uint64{39, 0x10000000, 1<<32 | 39} {
						c := call{nr, arch, [6]uint64{first}}
						if got, want := verdict(c), expected(Docker(), target, c); got != want {
							t.Fatalf("%s: call %#x of %#x with %#x: %#x, want %#x", target.Arch, nr, arch, first, got, want)
						}
					}
				}
			}
		}
	}
}

// TestKnownBeforehand: the kernel need not run the filter for a call that is
// allowed whatever its arguments, if it can tell. And the filter is short: each
// start pays for it.
func TestKnownBeforehand(t *testing.T) {
	f := assemble(t, Docker(), targets[0])
	if f.Len() > 180 {
		t.Errorf("%d instructions", f.Len())
	}
	verdict := simulate(t, f)
	for _, arch := range []uint32{auditX8664, 0x40000003} {
		for nr := range uint32(512) {
			c := call{nr: nr, arch: arch}
			allowed := true
			for _, first := range []uint64{0, 38, 40, 41, 0x10000000, 1 << 32} {
				c.args[0] = first
				allowed = allowed && verdict(c) == actions["SCMP_ACT_ALLOW"]
			}
			if got := constAllow(f, c); got != allowed {
				t.Errorf("call %d of %#x: the kernel finds %v, want %v", nr, arch, got, allowed)
			}
		}
	}
}

// constAllow is seccomp_is_const_allow of kernel/seccomp.c.
func constAllow(f *Filter, c call) bool {
	a := uint32(0)
	for pc := 0; ; pc++ {
		b := []byte(f.Code()[pc*instructionSize:])
		i := bpf.RawInstruction{Op: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3], K: binary.NativeEndian.Uint32(b[4:])}
		branch := func(yes bool) {
			if pc += int(i.Jf); yes {
				pc += int(i.Jt) - int(i.Jf)
			}
		}
		switch i.Op {
		case 0x20: // ld [k]
			switch i.K {
			case offsetNumber:
				a = c.nr
			case offsetArch:
				a = c.arch
			default:
				return false
			}
		case 0x06: // ret #k
			return i.K == actions["SCMP_ACT_ALLOW"]
		case 0x05: // ja
			pc += int(i.K)
		case 0x15: // jeq #k
			branch(a == i.K)
		case 0x35: // jge #k
			branch(a >= i.K)
		case 0x25: // jgt #k
			branch(a > i.K)
		case 0x54: // and #k
			a &= i.K
		default:
			return false
		}
	}
}

// TestDockerVerdicts names some that matter, by what Docker documents.
func TestDockerVerdicts(t *testing.T) {
	const allow, perm, nosys = 0x7fff0000, 0x50001, 0x50026
	for _, tt := range []struct {
		target Target
		name   string
		first  uint64
		want   uint32
	}{
		{targets[0], "execve", 0, allow},
		{targets[0], "clone", 0x11, allow},
		{targets[0], "clone", 0x10000000, perm}, // CLONE_NEWUSER
		{targets[0], "clone3", 0, nosys},        // its flags are in memory: glibc falls back to clone
		{targets[3], "clone3", 0, allow},
		{targets[0], "unshare", 0, perm},
		{targets[0], "mount", 0, perm},
		{targets[3], "mount", 0, allow},
		{targets[0], "socket", 2, allow},
		{targets[0], "socket", 38, perm}, // AF_ALG
		{targets[0], "socket", 40, perm}, // AF_VSOCK
		{targets[0], "personality", 0, allow},
		{targets[0], "personality", 0x40000, perm}, // ADDR_NO_RANDOMIZE
		{targets[0], "ptrace", 0, allow},
		{targets[2], "ptrace", 0, perm}, // before 4.8 it could be used to get round seccomp
		{targets[0], "chroot", 0, allow},
		{targets[2], "chroot", 0, perm},
		{targets[0], "io_uring_setup", 0, perm},
		{targets[0], "kexec_load", 0, perm},
		{targets[1], "execve", 0, allow},
		{targets[1], "bpf", 0, perm},
	} {
		verdict := simulate(t, assemble(t, Docker(), tt.target))
		for _, a := range abis[tt.target.Arch] {
			nr := numbers()[tt.name][a.column]
			if nr == none {
				continue
			}
			c := call{uint32(nr) | a.bit, a.audit, [6]uint64{tt.first}}
			if got := verdict(c); got != tt.want {
				t.Errorf("%s(%#x) of %s: %#x, want %#x", tt.name, tt.first, a.name, got, tt.want)
			}
		}
	}
}

// TestAnyProfile tries random profiles: all comparisons, actions and ABIs.
func TestAnyProfile(t *testing.T) {
	values := rapid.SampledFrom([]uint64{0, 1, 2, 0x7fffffff, 0xffffffff, 1 << 32, 1<<32 | 1, 5 << 32, ^uint64(0)})
	name := rapid.SampledFrom([]string{"read", "write", "open", "socket", "ioctl", "clone", "breakpoint", "preadv2", "semctl"})
	action := rapid.SampledFrom([]Action{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"})
	arg := rapid.Custom(func(t *rapid.T) Arg {
		ops := rapid.SampledFrom([]Op{"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_MASKED_EQ"})
		return Arg{rapid.IntRange(0, 5).Draw(t, "index"), values.Draw(t, "value"), values.Draw(t, "two"), ops.Draw(t, "op")}
	})
	rule := rapid.Custom(func(t *rapid.T) Rule {
		return Rule{Names: rapid.SliceOfN(name, 1, 5).Draw(t, "names"), Action: action.Draw(t, "action"), Args: rapid.SliceOfN(arg, 0, 3).Draw(t, "args")}
	})
	rapid.Check(t, func(t *rapid.T) {
		p := &Profile{
			DefaultAction: "SCMP_ACT_ERRNO",
			ArchMap:       rapid.SampledFrom([][]ArchMap{nil, Docker().ArchMap, {{"SCMP_ARCH_X86_64", []string{"SCMP_ARCH_X86"}}}}).Draw(t, "archMap"),
			Syscalls:      rapid.SliceOfN(rule, 0, 12).Draw(t, "rules"),
		}
		if err := p.validate(); err != nil {
			t.Fatal(err)
		}
		target := rapid.SampledFrom(targets[:2]).Draw(t, "target")
		verdict := simulate(t, assemble(t, p, target))
		for range 30 {
			a := rapid.SampledFrom(slices.Concat(abis["amd64"], abis["arm64"])).Draw(t, "abi")
			c := call{nr: uint32(max(0, numbers()[name.Draw(t, "call")][a.column])) | a.bit, arch: a.audit}
			for i := range c.args {
				c.args[i] = values.Draw(t, "arg")
			}
			if got, want := verdict(c), expected(p, target, c); got != want {
				t.Fatalf("%+v: %#x, want %#x", c, got, want)
			}
		}
	})
}

func BenchmarkAssemble(b *testing.B) {
	for b.Loop() {
		assemble(b, Docker(), targets[0])
	}
}
