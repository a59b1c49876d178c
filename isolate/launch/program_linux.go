package launch

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Op is one system call of a program.
type Op struct {
	// Phase names the operation: "mount overlay". Adjacent calls of the same
	// phase are timed as one.
	Phase string

	// Object is what the call is made on, for messages: a path, a limit.
	Object string

	Call uintptr // system call number
	Args []Arg   // at most six

	// Keep stores the call's result, a descriptor, for the calls that follow
	// and take [Kept] as an argument.
	Keep bool

	// Want is the result that the call must have; 0 is any but an error. A
	// short read or write is a failure too: EOF from a parent that gave up.
	Want int

	// Ack is for a recvfrom of a netlink acknowledgement: the errno in it is
	// taken for the call's.
	Ack bool

	// Try lets the program go on if the call fails with exactly this errno.
	Try syscall.Errno

	// Hint says what to do when the call fails.
	Hint string
}

// Program is what a child does between clone and exec. The last operation is
// an execve.
type Program struct {
	Flags uint64 // CLONE_NEW* namespaces made with the child
	Ops   []Op

	// Group is a descriptor of the cgroup v2 directory that the child is born
	// in, or -1.
	Group int

	// Files become the child's standard input, output and error. None of the
	// harness's other descriptors reaches the child.
	Files [3]int

	// Lent is one more descriptor that the child has, as [LentFD], until its
	// execve; 0 is none.
	Lent int

	// IDMaps are written for the child by the parent; the program waits for
	// them where AwaitMaps stands.
	IDMaps *IDMaps

	// CopyFiles gives the child a copy of the descriptor table instead of the
	// table itself, as Descriptors needs it without close_range.
	CopyFiles bool

	// CopyMemory gives the child a copy of the caller's memory instead of the
	// memory itself: slower, and needed where another process may look into
	// the child before it has called exec.
	CopyMemory bool

	// NoStamps leaves out the clock reading before each phase.
	NoStamps bool

	args []Arg // of all operations: one allocation, not one for each
}

// LentFD is what Program.Lent is in the child.
const LentFD = 3

// New begins a program whose child gets copies of those descriptors, and in
// no cgroup of version 2.
func New(files [3]int) *Program {
	p := &Program{}
	p.Reset(files)
	return p
}

// Reset makes p a new program in the memory of the old one.
func (p *Program) Reset(files [3]int) {
	*p = Program{Group: -1, Files: files, Ops: p.Ops[:0], args: p.args[:0]}
}

// Add appends an operation with these arguments, at most six.
func (p *Program) Add(op Op, args ...Arg) {
	n := len(p.args)
	p.args = append(p.args, args...)
	op.Args = p.args[n:len(p.args):len(p.args)]
	p.Ops = append(p.Ops, op)
}

// IDMaps are the contents of a user namespace's uid_map and gid_map, in the
// form of user_namespaces(7).
type IDMaps struct {
	UID, GID      string
	DenySetgroups bool // as an unprivileged user must, before the kernel takes a gid_map

	// Helpers write the maps for an ordinary user, who may not: newuidmap and
	// newgidmap, or "" (newuidmap(1)).
	Helpers [2]string

	// Then, if any, is called by the parent once they are written, with the
	// child's pid: for what the child may not do, as root of a user namespace
	// only. The program waits for it where AwaitThen stands.
	Then func(pid int) error
}

// Arg is one argument of a system call.
type Arg struct {
	kind argKind
	n    uintptr
	s    string
	list *[]string // one operation of a program has lists: they shall not weigh on the others
}

type argKind uint8

const (
	argNumber  argKind = iota
	argString          // pointer to a NUL-terminated string
	argBytes           // pointer to the bytes of s
	argStrings         // pointer to a NULL-terminated array of strings
	argFlags           // set of bits, shown through the table named by s
	argNamed           // number, shown by its name in the table s
	argKept            // the result of the last call with Keep
	argOctal
	argFilter   // pointer to a struct sock_fprog of the instructions in s
	argSlotPID  // address of the child's pid, where the mapper waits for it
	argSlotMaps // address of the word that says the id maps are written
)

// Number is a plain argument.
func Number[T ~int | ~uint | ~int32 | ~uint32 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{kind: argNumber, n: uintptr(n)}
}

// Octal is a plain argument that is shown as a file mode.
func Octal(n uint32) Arg { return Arg{kind: argOctal, n: uintptr(n)} }

// Flags is a set of bits, shown by their names in the table.
func Flags(table FlagTable, n uint64) Arg {
	return Arg{kind: argFlags, n: uintptr(n), s: string(table)}
}

// Named is a value that is shown by its name in the table.
func Named[T ~int | ~uint | ~uint32 | ~uint64](table FlagTable, n T) Arg {
	return Arg{kind: argNamed, n: uintptr(n), s: string(table)}
}

// CurrentDir is AT_FDCWD.
var CurrentDir = Named(AtDirs, unix.AT_FDCWD)

// String is a pointer to a NUL-terminated copy of s.
func String(s string) Arg { return Arg{kind: argString, s: s} }

// Bytes is a pointer to a copy of b, aligned to eight bytes.
func Bytes(b string) Arg { return Arg{kind: argBytes, s: b} }

// Strings is an argument or environment vector.
func Strings(list []string) Arg { return Arg{kind: argStrings, list: &list} }

// Filter is a pointer to a struct sock_fprog (linux/filter.h) of those
// instructions, an array of struct sock_filter.
func Filter(instructions string) Arg { return Arg{kind: argFilter, s: instructions} }

// Kept is the result of the last call that had Keep set.
var Kept = Arg{kind: argKept}

func (a Arg) strings() []string {
	if a.list == nil {
		return nil
	}
	return *a.list
}
