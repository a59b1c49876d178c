package seccomp

import (
	"math"
	"slices"

	"golang.org/x/net/bpf"
)

// struct seccomp_data (linux/seccomp.h), little-endian as every architecture
// of ours.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

func low(index int) uint32  { return uint32(offsetArgs + 8*index) }
func high(index int) uint32 { return low(index) + 4 }

func load(at uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: at, Size: 4} }

// comparisons make a check of one argument: code that goes on behind its end
// if it holds, and past that by skip if it does not. BPF's registers have 32
// bits, so the upper half comes first.
var comparisons = map[Op]func(a Arg, skip uint8) []bpf.Instruction{
	"SCMP_CMP_EQ": func(a Arg, skip uint8) []bpf.Instruction {
		hi, lo := halves(a.Value)
		return []bpf.Instruction{
			load(high(a.Index)), bpf.JumpIf{Cond: bpf.JumpEqual, Val: hi, SkipFalse: skip + 2},
			load(low(a.Index)), bpf.JumpIf{Cond: bpf.JumpEqual, Val: lo, SkipFalse: skip},
		}
	},
	"SCMP_CMP_MASKED_EQ": func(a Arg, skip uint8) []bpf.Instruction {
		maskHi, maskLo := halves(a.Value)
		hi, lo := halves(a.ValueTwo)
		code := []bpf.Instruction{load(low(a.Index)), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: maskLo}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: lo, SkipFalse: skip}}
		if maskHi == 0 && hi == 0 {
			return code
		}
		return append([]bpf.Instruction{
			load(high(a.Index)), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: maskHi}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: hi, SkipFalse: skip + 3},
		}, code...)
	},
	"SCMP_CMP_NE": func(a Arg, skip uint8) []bpf.Instruction {
		hi, lo := halves(a.Value)
		return []bpf.Instruction{
			load(high(a.Index)), bpf.JumpIf{Cond: bpf.JumpEqual, Val: hi, SkipFalse: 2},
			load(low(a.Index)), bpf.JumpIf{Cond: bpf.JumpEqual, Val: lo, SkipTrue: skip},
		}
	},
	"SCMP_CMP_GT": func(a Arg, skip uint8) []bpf.Instruction { return greater(a, bpf.JumpGreaterThan, false, skip) },
	"SCMP_CMP_GE": func(a Arg, skip uint8) []bpf.Instruction { return greater(a, bpf.JumpGreaterOrEqual, false, skip) },
	"SCMP_CMP_LE": func(a Arg, skip uint8) []bpf.Instruction { return greater(a, bpf.JumpGreaterThan, true, skip) },
	"SCMP_CMP_LT": func(a Arg, skip uint8) []bpf.Instruction { return greater(a, bpf.JumpGreaterOrEqual, true, skip) },
}

// greater holds if the argument is greater than the value (or equal, as the
// test of the lower half says), or if it is not, where negated.
func greater(a Arg, lower bpf.JumpTest, negated bool, skip uint8) []bpf.Instruction {
	hi, lo := halves(a.Value)
	yes, no := uint8(0), skip
	if negated {
		yes, no = skip, 0
	}
	return []bpf.Instruction{
		load(high(a.Index)),
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: hi, SkipTrue: yes + 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: hi, SkipFalse: no + 2},
		load(low(a.Index)),
		bpf.JumpIf{Cond: lower, Val: lo, SkipTrue: yes, SkipFalse: no},
	}
}

func halves(v uint64) (high, low uint32) { return uint32(v >> 32), uint32(v) }

// condition is a call's result if all its comparisons hold.
type condition struct {
	args []Arg
	then uint32
}

// onOneArgument makes conditions on one and the same argument, to values of 32
// bits, a search for that argument: shorter than one after the other.
func onOneArgument(conditions []condition, unknown uint32) ([]bpf.Instruction, bool) {
	points := []uint64{0, 1 << 32} // where the result may change; what is above is all alike
	for _, c := range conditions {
		if len(c.args) != 1 || c.args[0].Index != conditions[0].args[0].Index || ordered[c.args[0].Op] == nil || c.args[0].Value > math.MaxUint32 {
			return nil, false
		}
		points = append(points, c.args[0].Value, c.args[0].Value+1)
	}
	if len(conditions) == 0 {
		return nil, false
	}
	slices.Sort(points)
	points = slices.Compact(points)
	var spans []span
	for _, p := range points {
		then := unknown
		if i := slices.IndexFunc(conditions, func(c condition) bool { return ordered[c.args[0].Op](p, c.args[0].Value) }); i >= 0 {
			then = conditions[i].then
		}
		spans = append(spans, span{uint32(p), ret(then)})
	}
	last := len(spans) - 1
	c := newCode()
	above := c.leaf(spans[last].leaf)
	c.goTo(c.search(merged(spans[:last])))
	c.add(load(low(conditions[0].args[0].Index)))
	c.add(c.jump(bpf.JumpEqual, 0, c.last(), above))
	c.add(load(high(conditions[0].args[0].Index)))
	return c.program(), true
}

// ordered are the comparisons that hold in ranges of the argument.
var ordered = map[Op]func(argument, value uint64) bool{
	"SCMP_CMP_EQ": func(a, v uint64) bool { return a == v },
	"SCMP_CMP_NE": func(a, v uint64) bool { return a != v },
	"SCMP_CMP_GT": func(a, v uint64) bool { return a > v },
	"SCMP_CMP_GE": func(a, v uint64) bool { return a >= v },
	"SCMP_CMP_LE": func(a, v uint64) bool { return a <= v },
	"SCMP_CMP_LT": func(a, v uint64) bool { return a < v },
}
