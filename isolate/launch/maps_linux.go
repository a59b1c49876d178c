package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2).
const (
	futexWait = 0
	futexWake = 1
)

// writeMaps writes the id maps of the child of s as soon as there is one. The
// launching thread is suspended in vfork, so this is another goroutine's
// work. The function it returns waits for the end of it; the child has to
// have ended or gone on by then, or never have been made.
func writeMaps(s *slot, maps IDMaps) (wait func() error) {
	result := make(chan error, 1)
	go func() {
		futex(&s.pid, futexWait, 0)
		pid := atomic.LoadInt32(&s.pid)
		if pid <= 0 {
			result <- nil
			return
		}
		step := func(done int32, err error) error {
			if err != nil {
				unix.Kill(int(pid), unix.SIGKILL)
			}
			atomic.StoreInt32(&s.maps, done)
			futex(&s.maps, futexWake, 1)
			return err
		}
		err := step(1, writeMapFiles(int(pid), maps))
		if err == nil && maps.Then != nil {
			err = step(2, maps.Then(int(pid)))
		}
		result <- err
	}()
	return func() error {
		futex(&s.pid, futexWake, 1)
		return <-result
	}
}

func writeMapFiles(pid int, maps IDMaps) error {
	for i, helper := range maps.Helpers {
		if helper == "" {
			continue
		}
		if err := runMapHelper(helper, pid, []string{maps.UID, maps.GID}[i]); err != nil {
			return err
		}
	}
	type file struct{ name, data string }
	var files []file
	if maps.Helpers[0] == "" {
		files = append(files, file{"uid_map", maps.UID})
	}
	if maps.Helpers[1] == "" {
		if maps.DenySetgroups {
			files = append(files, file{"setgroups", "deny"})
		}
		files = append(files, file{"gid_map", maps.GID})
	}
	for _, f := range files {
		path := fmt.Sprintf("/proc/%d/%s", pid, f.name)
		if err := os.WriteFile(path, []byte(f.data), 0); err != nil {
			return fmt.Errorf("id map %q: %w (hint: mapping ids other than one's own needs CAP_SETUID and CAP_SETGID; see user_namespaces(7))", f.data, err)
		}
	}
	return nil
}

// helperTimeout bounds a map helper, which may ask a name service.
const helperTimeout = 10 * time.Second

// runMapHelper has a setuid helper write one map.
func runMapHelper(path string, pid int, lines string) error {
	ctx, cancel := context.WithTimeout(context.Background(), helperTimeout)
	defer cancel()
	args := append([]string{strconv.Itoa(pid)}, strings.Fields(lines)...)
	if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("id map: %s %s: %w: %s (hint: /etc/subuid and /etc/subgid must grant these ids to this user)",
			path, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// futex waits for *word to change from 0, or wakes who does.
func futex(word *int32, op, n int) {
	for {
		_, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), uintptr(op), uintptr(n), 0, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}
