package seccomp

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
)

// code is a program under way, written from its end: BPF jumps forward only,
// so where a jump leads is then known. A place is an index from the end.
//
// What a search ends in is written once, and jumped to from everywhere that is
// near enough.
type code struct {
	reversed []bpf.Instruction
	leaves   map[string]leafAt
}

// leafAt are the places of a leaf: where it was written, and where it was
// last, which may be a jump there.
type leafAt struct{ written, near int }

func newCode() *code { return &code{leaves: map[string]leafAt{}} }

// reach is how far a conditional jump goes, less what may yet come between:
// the jump that helps the other branch.
const reach = 255 - 1

func (c *code) last() int { return len(c.reversed) - 1 }

func (c *code) add(i bpf.Instruction) int {
	c.reversed = append(c.reversed, i)
	return c.last()
}

// away is the skip of a jump that is added now.
func (c *code) away(place int) int { return c.last() - place }

// leaf gives a place within reach that leads to those instructions, which
// end in returns.
func (c *code) leaf(instructions []bpf.Instruction) int {
	key := fmt.Sprint(instructions)
	at, known := c.leaves[key]
	switch {
	case !known || len(instructions) == 1 && c.away(at.near) > reach:
		for _, i := range slices.Backward(instructions) {
			c.add(i)
		}
		at = leafAt{c.last(), c.last()}
	case c.away(at.near) > reach:
		at.near = c.add(bpf.Jump{Skip: uint32(c.away(at.written))})
	}
	c.leaves[key] = at
	return at.near
}

func (c *code) ret(value uint32) int { return c.leaf(ret(value)) }

// jump makes the branch, to be added at once. Places that are out of reach get
// a jump of their own before it.
func (c *code) jump(test bpf.JumpTest, value uint32, yes, no int) bpf.Instruction {
	for _, place := range []*int{&yes, &no} {
		if c.away(*place) > reach {
			*place = c.add(bpf.Jump{Skip: uint32(c.away(*place))})
		}
	}
	return bpf.JumpIf{Cond: test, Val: value, SkipTrue: uint8(c.away(yes)), SkipFalse: uint8(c.away(no))}
}

// goTo goes on at a place: where that is what comes next, by itself.
func (c *code) goTo(place int) {
	if place != c.last() {
		c.add(bpf.Jump{Skip: uint32(c.away(place))})
	}
}

func (c *code) program() []bpf.Instruction {
	slices.Reverse(c.reversed)
	return c.reversed
}
