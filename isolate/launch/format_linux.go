package launch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// String shows the program as strace would: one call a line.
func (p *Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "clone(%s)\n", flagNames(CloneFlags, p.Flags))
	width := 0
	for _, op := range p.Ops {
		width = max(width, len(op.Phase))
	}
	for _, op := range p.Ops {
		fmt.Fprintf(&b, "%-*s  %s\n", width, op.Phase, op.String())
	}
	return b.String()
}

// String shows the call as strace would.
func (o Op) String() string {
	args := make([]string, len(o.Args))
	for i, a := range o.Args {
		args[i] = a.String()
	}
	s := callName(o.Call) + "(" + strings.Join(args, ", ") + ")"
	switch {
	case o.Keep:
		s += " = KEPT"
	case o.Ack:
		s += " = ACK"
	case o.Want != 0:
		s += " = " + strconv.Itoa(o.Want)
	}
	if o.Try != 0 {
		s += " or " + errnoName(o.Try)
	}
	return s
}

func (a Arg) String() string {
	switch a.kind {
	case argString:
		return strconv.Quote(a.s)
	case argBytes:
		if printable(a.s) {
			return strconv.Quote(a.s)
		}
		return fmt.Sprintf("{%x}", a.s)
	case argStrings:
		quoted := make([]string, len(a.strings()))
		for i, s := range a.strings() {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case argFlags:
		return flagNames(FlagTable(a.s), uint64(a.n))
	case argNamed:
		for _, f := range flagTables[FlagTable(a.s)] {
			if f.bits == uint64(a.n) {
				return f.name
			}
		}
	case argKept:
		return "KEPT"
	case argFilter:
		return fmt.Sprintf("{%d instructions}", len(a.s)/filterSize)
	case argSlotPID:
		return "&pid"
	case argSlotMaps:
		return "&maps"
	case argOctal:
		return "0" + strconv.FormatUint(uint64(a.n), 8)
	}
	if a.n > math.MaxInt32 {
		return strconv.Itoa(int(int32(a.n)))
	}
	return strconv.FormatUint(uint64(a.n), 10)
}

func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// FlagTable names a set of flags, or of values, in a printed program.
type FlagTable string

const (
	CloneFlags  FlagTable = "clone"
	MountFlags  FlagTable = "mount"
	UmountFlags FlagTable = "umount"
	OpenFlags   FlagTable = "open"

	PrctlOptions FlagTable = "prctl"
	CapNames     FlagTable = "capability"
	AtDirs       FlagTable = "at"
	FutexOps     FlagTable = "futex"
	SeccompFlags FlagTable = "seccomp"
)

func flagNames(table FlagTable, bits uint64) string {
	var names []string
	for _, f := range flagTables[table] {
		if f.bits != 0 && bits&f.bits == f.bits {
			names = append(names, f.name)
			bits &^= f.bits
		}
	}
	if bits != 0 || len(names) == 0 {
		names = append(names, "0x"+strconv.FormatUint(bits, 16))
	}
	return strings.Join(names, "|")
}

type flag struct {
	name string
	bits uint64
}
