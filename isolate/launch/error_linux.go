package launch

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpError is a launch that an operation of its program ended.
type OpError struct {
	Op   Op
	Err  error
	Hint string
}

var errKilled = errors.New("the child was killed")

func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op.Phase)
	if e.Op.Object != "" {
		b.WriteString(" " + e.Op.Object)
	}
	b.WriteString(": ")
	var errno syscall.Errno
	if errors.As(e.Err, &errno) {
		call := callName(e.Op.Call)
		if e.Op.Ack {
			call = "netlink"
		}
		fmt.Fprintf(&b, "%s: %s (%s)", call, errnoName(errno), errno)
	} else {
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString("; hint: " + e.Hint)
	}
	return b.String()
}

func (e *OpError) Unwrap() error { return e.Err }

// failure tells why the child did not come to its execve, or nil if it did.
func failure(p *Program, s *slot) *OpError {
	if s.failed != 0 {
		op := p.Ops[s.failed-1]
		var err error = syscall.Errno(s.errno)
		if s.errno == 0 {
			err = fmt.Errorf("%s returned %d, not %d", callName(op.Call), int(s.result), op.Want)
		}
		return &OpError{Op: op, Err: err, Hint: op.Hint}
	}
	if at := int(s.at); at < len(p.Ops)-1 {
		return &OpError{Op: p.Ops[at], Err: errKilled}
	}
	return nil
}

// cloneError explains a clone that the kernel refused.
func (l *Launcher) cloneError(flags uint64, errno syscall.Errno) error {
	hint := ""
	switch {
	case errno == syscall.EPERM && flags&unix.CLONE_NEWUSER == 0 && flags != 0:
		hint = "making namespaces needs root, or a user namespace with them"
	case errno == syscall.EPERM:
		hint = "user namespaces may be restricted: see kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"
	case errno == syscall.ENOSPC:
		hint = "a limit on namespaces is reached: see /proc/sys/user/max_*_namespaces"
	case errno == syscall.EINVAL:
		hint = "the kernel lacks a namespace type: see CONFIG_NAMESPACES and its CONFIG_*_NS"
	case errno == syscall.EAGAIN:
		hint = "a limit on processes is reached: see pids.max, ulimit -u, kernel.threads-max"
	}
	op := Op{Phase: "clone", Object: flagNames(CloneFlags, flags), Call: unix.SYS_CLONE3}
	if l.Missing.Has(Clone3) {
		op.Call = unix.SYS_CLONE
	}
	if flags == 0 {
		op.Object = ""
	}
	return &OpError{Op: op, Err: errno, Hint: hint}
}
