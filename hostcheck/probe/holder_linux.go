package probe

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// holder is a child that does nothing but keep a user namespace alive.
type holder struct {
	script script // in its memory until it is gone
	pid    int
	ns     int // descriptor of the namespace
	pipe   int // the child exits when this end is closed
}

// holdUserNamespace makes a user namespace with one id mapped, and gives a
// descriptor of it.
func holdUserNamespace() (*holder, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	h := &holder{pipe: ends[1], ns: -1}
	h.script.call(unix.SYS_CLOSE, uintptr(ends[1])) // or it would wait for itself
	h.script.call(unix.SYS_READ, uintptr(ends[0]), h.script.ptr(make([]byte, 1)), 1)
	h.script.pins.Pin(&h.script.steps[0]) // it outlives this call
	pid, err := h.script.start(unix.CLONE_VM | unix.CLONE_NEWUSER)
	unix.Close(ends[0])
	if err != nil {
		h.script.pins.Unpin()
		unix.Close(ends[1])
		return nil, fmt.Errorf("clone(CLONE_NEWUSER): %w", err)
	}
	h.pid = pid
	proc := "/proc/" + strconv.Itoa(h.pid)
	for _, m := range []struct{ file, text string }{
		{"/setgroups", "deny"},
		{"/uid_map", fmt.Sprintf("0 %d 1", os.Geteuid())},
		{"/gid_map", fmt.Sprintf("0 %d 1", os.Getegid())},
	} {
		// An old kernel has no setgroups; without a map mount_setattr says so.
		os.WriteFile(proc+m.file, []byte(m.text), 0)
	}
	fd, err := unix.Open(proc+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		h.release()
		return nil, fmt.Errorf("open %s/ns/user: %w", proc, err)
	}
	h.ns = fd
	return h, nil
}

func (h *holder) release() {
	unix.Close(h.pipe)
	if h.ns >= 0 {
		unix.Close(h.ns)
	}
	h.script.wait(h.pid)
}
