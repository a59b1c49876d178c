package cgroup

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The processes in the groups are this test binary again: the kernel tests also run where there is no
// shell and no sleep.
const helperVariable = "PLIMSOLL_CGROUP_HELPER"

func TestMain(m *testing.M) {
	if work := os.Getenv(helperVariable); work != "" {
		if err := help(work, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, work+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func help(work string, args []string) error {
	switch work {
	case "join":
		return helpJoin(args)
	case "aside":
		return helpAside(args[0], args[1])
	}
	unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0)
	bufio.NewReader(os.Stdin).ReadString('\n') // until we are in the group
	switch work {
	case "wait":
		time.Sleep(time.Minute)
	case "spin":
		for begin := time.Now(); time.Since(begin) < time.Minute; {
		}
	case "allocate":
		size, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		region, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < size; i += os.Getpagesize() {
			region[i] = 1
		}
	case "breed":
		for begin := time.Now(); time.Since(begin) < 20*time.Second; {
			cmd := exec.Command("/proc/self/exe")
			cmd.Stdin = os.Stdin
			if cmd.Start() != nil {
				time.Sleep(time.Millisecond)
			}
		}
	case "devices":
		return helpDevices(args[0])
	case "reserve":
		size, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		_, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_HUGETLB)
		fmt.Println(err)
	case "write":
		size, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return writeDirect(args[0], size)
	}
	return nil
}

// writeDirect passes the page cache by: on v1 only such writes are charged to the writer.
func writeDirect(path string, size int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|unix.O_DIRECT, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	const block = 256 << 10
	buf := make([]byte, block+4096)
	offset := int(-uintptr(unsafe.Pointer(&buf[0])) & 4095)
	for written := 0; written < size; written += block {
		if _, err := f.Write(buf[offset : offset+block]); err != nil {
			return err
		}
	}
	return f.Close()
}

// helpJoin does what a launcher's child does, and prints where that led. Go has more threads than one: this one joins.
func helpJoin(files []string) error {
	runtime.LockOSThread()
	for _, file := range files {
		if err := writeFile(file, "0"); err != nil {
			return err
		}
	}
	b, err := os.ReadFile("/proc/thread-self/cgroup")
	os.Stdout.Write(b)
	return err
}
