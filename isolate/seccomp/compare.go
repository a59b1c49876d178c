package seccomp

import "golang.org/x/net/bpf"

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
		return []bpf.Instruction{
			load(high(a.Index)), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: maskHi}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: hi, SkipFalse: skip + 3},
			load(low(a.Index)), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: maskLo}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: lo, SkipFalse: skip},
		}
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
