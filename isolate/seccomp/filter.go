package seccomp

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/net/bpf"
)

// Target is where a filter is to run.
type Target struct {
	Arch         string   // amd64 or arm64
	Kernel       int      // 1000 times the major plus the minor version
	Capabilities []string // that the container may have: its bounding set
}

// Filter is an assembled filter, ready for the kernel. Filters of the same
// instructions are equal.
type Filter struct {
	code string // array of struct sock_filter
}

// Code is an array of struct sock_filter (linux/filter.h) in this machine's
// byte order.
func (f *Filter) Code() string { return f.code }

// Len is the number of instructions, at most 4,096.
func (f *Filter) Len() int { return len(f.code) / instructionSize }

const (
	instructionSize = 8
	mostInstruction = 4096 // BPF_MAXINSNS
)

// Filter assembles the profile for a target.
//
// Calls are found by a search over ranges of numbers: some seven comparisons,
// where a list would take hundreds. The instructions used are
// those that let the kernel know beforehand which calls are allowed whatever
// their arguments, so that it need not run the filter for them
// (seccomp_is_const_allow in kernel/seccomp.c). What is above all that the
// profile names is ENOSYS, as runc does it: the profile cannot have known of
// the call, and programs fall back from ENOSYS where they give up at EPERM.
func (p *Profile) Filter(t Target) (*Filter, error) {
	all, ok := abis[t.Arch]
	if !ok {
		return nil, fmt.Errorf("seccomp filter: no system-call table of architecture %s (amd64 and arm64 are there)", t.Arch)
	}
	code, err := bpf.Assemble(p.program(p.allowed(all), t))
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	if len(code) > mostInstruction {
		return nil, fmt.Errorf("seccomp filter: %d instructions, the kernel takes %d", len(code), mostInstruction)
	}
	b := make([]byte, 0, len(code)*instructionSize)
	for _, i := range code {
		b = binary.NativeEndian.AppendUint16(b, i.Op)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return &Filter{code: string(b)}, nil
}

// allowed are the ABIs that the profile lets a program use: its own and those
// mapped to it.
func (p *Profile) allowed(all []abi) []abi {
	i := slices.IndexFunc(p.ArchMap, func(m ArchMap) bool { return m.Architecture == all[0].name })
	return slices.DeleteFunc(slices.Clone(all), func(a abi) bool {
		return a.name != all[0].name && (i < 0 || !slices.Contains(p.ArchMap[i].SubArchitectures, a.name))
	})
}

// program chooses the tree of the ABI that a call comes by. It is put together
// from its end.
func (p *Profile) program(of []abi, t Target) []bpf.Instruction {
	c := newCode()
	next := c.ret(killThread) // of an ABI that is none of these
	for _, a := range slices.Backward(of) {
		if a.bit != 0 {
			continue // below, with the one that shares its audit number
		}
		root := c.search(p.spans(a, t))
		if a.audit == auditX8664 {
			root = p.withX32(c, root, of, t)
		}
		c.goTo(root)
		c.add(load(offsetNumber))
		c.add(c.jump(bpf.JumpEqual, a.audit, c.last(), next))
		next = c.last()
	}
	c.add(load(offsetArch))
	return c.program()
}

// withX32 puts x32 before amd64's tree. The two share their numbers below 512,
// and so the tree: what amd64 has there and x32 has not, the kernel itself
// does not find. A tree of its own would make a filter half as long again, and a
// start pays for each instruction.
func (p *Profile) withX32(c *code, native int, of []abi, t Target) int {
	i := slices.IndexFunc(of, func(a abi) bool { return a.bit == x32Bit })
	if i < 0 {
		refused := c.ret(killThread) // as another architecture is
		return c.add(c.jump(bpf.JumpGreaterOrEqual, x32Bit, refused, native))
	}
	const first = 512
	own := p.spans(of[i], t)
	if above := slices.IndexFunc(own, func(s span) bool { return s.from > first }); above > 0 {
		own = own[above-1:]
	} else {
		own = own[len(own)-1:]
	}
	root := c.search(own)
	c.add(c.jump(bpf.JumpGreaterOrEqual, first, root, native))
	x32 := c.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ^uint32(x32Bit)})
	return c.add(c.jump(bpf.JumpGreaterOrEqual, x32Bit, x32, native))
}

// span is what happens to calls from a number on, up to the next span's.
type span struct {
	from uint32
	leaf []bpf.Instruction // ends in returns
}

// spans lists an ABI's ranges of numbers, in order.
func (p *Profile) spans(a abi, t Target) []span {
	rules := map[uint32][]*Rule{}
	for i := range p.Syscalls {
		r := &p.Syscalls[i]
		if !r.applies(t) {
			continue
		}
		for _, name := range r.Names {
			if row, ok := numbers()[name]; ok && row[a.column] != none {
				nr := uint32(row[a.column])
				rules[nr] = append(rules[nr], r)
			}
		}
	}
	unknown := result(p.DefaultAction, p.DefaultErrnoRet)
	var out []span
	add := func(from uint32, leaf []bpf.Instruction) { out = append(out, span{from, leaf}) }
	next := uint32(0) // a gap of thousands, as arm has, is one span
	for _, nr := range slices.Sorted(maps.Keys(rules)) {
		if nr > next {
			add(next, ret(unknown))
		}
		add(nr, leaf(rules[nr], unknown))
		next = nr + 1
	}
	if p.DefaultAction == "SCMP_ACT_ERRNO" {
		unknown = result("SCMP_ACT_ERRNO", &newer)
	}
	add(next, ret(unknown))
	return merged(out)
}

// merged makes neighbours that end alike one.
func merged(spans []span) []span {
	return slices.CompactFunc(spans, func(a, b span) bool { return slices.Equal(a.leaf, b.leaf) })
}

var newer uint16 = enosys

// leaf decides on one call: the rules on its arguments in order, then the
// first without any, else the default.
func leaf(rules []*Rule, unknown uint32) []bpf.Instruction {
	var conditions []condition
	for _, r := range rules {
		for _, args := range alternatives(r.Args) {
			conditions = append(conditions, condition{args, result(r.Action, r.ErrnoRet)})
		}
	}
	for _, r := range rules {
		if len(r.Args) == 0 {
			unknown = result(r.Action, r.ErrnoRet)
			break
		}
	}
	if code, ok := onOneArgument(conditions, unknown); ok {
		return code
	}
	var code []bpf.Instruction
	for _, c := range conditions {
		code = append(code, check(c.args, c.then)...)
	}
	return append(code, ret(unknown)...)
}

// alternatives splits comparisons of one and the same argument, which could
// hardly all hold: libseccomp takes one for each argument, and runc makes
// rules of their own of the others.
func alternatives(args []Arg) [][]Arg {
	if len(args) == 0 {
		return nil
	}
	for i := range args {
		if slices.ContainsFunc(args[:i], func(a Arg) bool { return a.Index == args[i].Index }) {
			var each [][]Arg
			for _, a := range args {
				each = append(each, []Arg{a})
			}
			return each
		}
	}
	return [][]Arg{args}
}

// check returns if every comparison holds, and goes on behind itself if not.
func check(args []Arg, then uint32) []bpf.Instruction {
	code := ret(then)
	for _, a := range slices.Backward(args) {
		code = append(comparisons[a.Op](a, uint8(len(code))), code...)
	}
	return code
}

func ret(value uint32) []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: value}} }
