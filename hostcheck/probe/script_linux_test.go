package probe

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestScriptCarriesOutSteps(t *testing.T) {
	var s script
	pid := s.call(unix.SYS_GETPID)
	file := s.call(unix.SYS_OPENAT, atCWD, s.str("/proc/self/stat"), unix.O_RDONLY|unix.O_CLOEXEC)
	buf := make([]byte, 64)
	read := s.with(file, unix.SYS_READ, s.ptr(buf), uintptr(len(buf)))
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if pid.ret <= 0 || pid.ret == int64(os.Getpid()) {
		t.Errorf("the child's pid is %d, ours %d", pid.ret, os.Getpid())
	}
	if read.err() != nil || string(buf[:len(strconv.FormatInt(pid.ret, 10))]) != strconv.FormatInt(pid.ret, 10) {
		t.Errorf("read %v: %q, want the child's own status", read.err(), buf[:max(read.ret, 0)])
	}
	if err := unix.Kill(int(pid.ret), 0); err != unix.ESRCH {
		t.Errorf("the child is still there: %v", err)
	}
	if fd := int(file.ret); unix.Access("/proc/self/fd/"+strconv.Itoa(fd), unix.F_OK) == nil {
		if link, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); link == "/proc/"+strconv.FormatInt(pid.ret, 10)+"/stat" {
			t.Error("the child's descriptor is ours")
		}
	}
}

func TestScriptSkips(t *testing.T) {
	var s script
	bad := s.call(unix.SYS_CLOSE, ^uintptr(0)).orSkip(2)
	left := []*step{s.call(unix.SYS_GETPID), s.call(unix.SYS_GETPID)}
	after := s.call(unix.SYS_GETPID)
	stop := s.call(unix.SYS_CLOSE, ^uintptr(0)).orStop()
	never := s.call(unix.SYS_GETPID)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(bad.err(), unix.EBADF) || !errors.Is(stop.err(), unix.EBADF) {
		t.Errorf("closing -1: %v, %v", bad.err(), stop.err())
	}
	for _, st := range append(left, never) {
		if st.err() != errNotTried {
			t.Errorf("a step that was to be left out: %v", st.err())
		}
	}
	if after.err() != nil {
		t.Errorf("the step after those left out: %v", after.err())
	}
}

// What the child does to itself stays with it.
func TestScriptTouchesOnlyItself(t *testing.T) {
	before, _ := os.Readlink("/proc/self/ns/user")
	umask := unix.Umask(0o022)
	defer unix.Umask(umask)
	var s script
	s.call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER|unix.CLONE_NEWNS)
	s.call(unix.SYS_CHDIR, s.str("/proc"))
	s.call(unix.SYS_UMASK, 0)
	s.call(unix.SYS_CLOSE, 2)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Readlink("/proc/self/ns/user"); after != before {
		t.Errorf("our user namespace is %s, was %s", after, before)
	}
	if dir, err := os.Getwd(); err != nil || dir == "/proc" {
		t.Errorf("we are in %s, %v", dir, err)
	}
	if got := unix.Umask(0o022); got != 0o022 {
		t.Errorf("our umask is %o", got)
	}
	if _, err := os.Stderr.Stat(); err != nil {
		t.Errorf("our descriptor 2: %v", err)
	}
}

// Children are made while the collector stops the world and other goroutines
// allocate: none hangs, and none sees another's steps.
func TestScriptsSideBySide(t *testing.T) {
	stop := make(chan struct{})
	var noise sync.WaitGroup
	noise.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				var s script
				want := int64(worker*1000 + i + 10)
				fd := s.call(unix.SYS_DUP3, 0, uintptr(want), unix.O_CLOEXEC)
				if err := s.run(); err != nil {
					t.Error(err)
					return
				}
				if fd.ret != want && !errors.Is(fd.err(), unix.EBADF) {
					t.Errorf("dup3 to %d gave %d", want, fd.ret)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	noise.Wait()
}

func FuzzNetlinkError(f *testing.F) {
	f.Add(message(unix.NLMSG_ERROR, 0, make([]byte, 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		netlinkError(b)
		entriesTyped(b)
		dmTargets(b, 0)
	})
}

func TestNetlinkMessages(t *testing.T) {
	// A veth request, against what iproute2 sends: both ends named, the peer's
	// index given, lengths padded to four bytes.
	m := newLink("veth")
	if len(m)%4 != 0 || int(m[0]) != len(m) {
		t.Errorf("length field %d of %d bytes", m[0], len(m))
	}
	if got := attr(3, []byte("a\x00")); string(got) != "\x06\x00\x03\x00a\x00\x00\x00" && string(got) != "\x00\x06\x00\x03a\x00\x00\x00" {
		t.Errorf("attribute %q", got)
	}
}
