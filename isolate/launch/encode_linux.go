package launch

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// code is a program in the form that the child runs: calls whose arguments
// are addresses in arena. Go's collector does not move it, and whoever holds
// the code keeps it alive.
type code struct {
	calls  []call
	arena  []byte
	phases []string // in order; a phase begins where its name changes
}

const (
	pointerSize = int(unsafe.Sizeof(uintptr(0)))
	filterSize  = int(unsafe.Sizeof(unix.SockFilter{}))
)

// sockFprog is struct sock_fprog (linux/filter.h). Its address is no Go pointer:
// the garbage collector would look at what the arena had there before.
type sockFprog struct {
	length       uint16
	instructions uintptr
}

// encode lays out p for the child of slot s, in memory that it used before
// where that suffices.
func (c *code) encode(p *Program, s *slot) error {
	if err := checkStrings(p.Ops); err != nil {
		return err
	}
	if n := arenaSize(p.Ops); cap(c.arena) < n {
		c.arena = make([]byte, n)
	}
	c.arena = c.arena[:cap(c.arena)]
	c.calls = slices.Grow(c.calls[:0], len(p.Ops))[:len(p.Ops)]
	clear(c.calls)
	c.phases = c.phases[:0]
	used := 0
	align := func() { used = (used + 7) &^ 7 }
	// place copies s, and a NUL, into the arena.
	place := func(s string) uintptr {
		at := uintptr(unsafe.Pointer(&c.arena[used]))
		used += copy(c.arena[used:], s)
		c.arena[used] = 0
		used++
		return at
	}
	for i, op := range p.Ops {
		out := &c.calls[i]
		out.nr, out.keep, out.want, out.try = op.Call, op.Keep, uintptr(op.Want), op.Try
		if len(c.phases) == 0 || c.phases[len(c.phases)-1] != op.Phase {
			c.phases = append(c.phases, op.Phase)
			if !p.NoStamps {
				out.stamp = uint8(min(len(c.phases), maxPhases))
			}
		}
		for k, a := range op.Args {
			switch a.kind {
			case argString:
				out.args[k] = place(a.s)
			case argBytes:
				align()
				if op.Ack { // struct nlmsgerr follows struct nlmsghdr
					out.ack = (*int32)(unsafe.Pointer(&c.arena[used+unix.SizeofNlMsghdr]))
				}
				out.args[k] = place(a.s)
			case argStrings:
				align()
				at := used
				used += (len(a.strings()) + 1) * pointerSize
				out.args[k] = uintptr(unsafe.Pointer(&c.arena[at]))
				for _, s := range a.strings() {
					*(*uintptr)(unsafe.Pointer(&c.arena[at])) = place(s)
					at += pointerSize
				}
				*(*uintptr)(unsafe.Pointer(&c.arena[at])) = 0
			case argFilter:
				align()
				fprog := (*sockFprog)(unsafe.Pointer(&c.arena[used]))
				used += int(unsafe.Sizeof(*fprog))
				// Where it is: p keeps it, and a copy of thousands of bytes in each launch would cost more than the rest.
				*fprog = sockFprog{uint16(len(a.s) / filterSize), uintptr(unsafe.Pointer(unsafe.StringData(a.s)))}
				out.args[k] = uintptr(unsafe.Pointer(fprog))
			case argSlotPID:
				out.args[k] = uintptr(unsafe.Pointer(&s.pid))
			case argSlotMaps:
				out.args[k] = uintptr(unsafe.Pointer(&s.maps))
			case argKept:
				out.kept = uint8(k) + 1
			default:
				out.args[k] = a.n
			}
		}
	}
	if len(c.phases) > maxPhases {
		return fmt.Errorf("launch program of %d phases: at most %d can be timed", len(c.phases), maxPhases)
	}
	return nil
}

// checkStrings refuses what a NUL would cut short.
func checkStrings(ops []Op) error {
	for _, op := range ops {
		for _, a := range op.Args {
			if a.kind == argString && strings.IndexByte(a.s, 0) >= 0 {
				return fmt.Errorf("%s: %q contains a NUL byte", op.Phase, a.s)
			}
			for _, s := range a.strings() {
				if strings.IndexByte(s, 0) >= 0 {
					return fmt.Errorf("%s: %q contains a NUL byte", op.Phase, s)
				}
			}
		}
	}
	return nil
}

// arenaSize is at least what the strings of ops, their NULs, vectors and
// alignment take.
func arenaSize(ops []Op) int {
	n := 0
	for _, op := range ops {
		for _, a := range op.Args {
			switch a.kind {
			case argString, argBytes:
				n += len(a.s) + 8
			case argFilter:
				n += int(unsafe.Sizeof(sockFprog{})) + 8
			case argStrings:
				n += (len(a.strings())+1)*pointerSize + 8
				for _, s := range a.strings() {
					n += len(s) + 1
				}
			}
		}
	}
	return (n + 15) &^ 7
}
