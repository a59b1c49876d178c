package probe

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// program writes the probe to a file and returns the command that runs it:
// for the other architecture, through QEMU's user mode.
func program(t *testing.T, arch string) []string {
	path := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(path, readFile(t, "probe_"+arch+".elf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if arch == runtime.GOARCH {
		return []string{path}
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	for _, name := range []string{"qemu-" + machine + "-static", "qemu-" + machine} {
		if emulator, err := exec.LookPath(name); err == nil {
			return []string{emulator, path}
		}
	}
	missing(t, "qemu-user", "cannot run "+arch)
	return nil
}

func monotonic(t *testing.T) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}

func TestRun(t *testing.T) {
	for _, arch := range architectures {
		t.Run(arch.name, func(t *testing.T) {
			program := program(t, arch.name)
			for _, test := range []struct {
				args []string
				id   string
				code int
				out  int // bytes
			}{
				{[]string{}, "", 0, 0},
				{[]string{"true"}, "", 0, 0},
				{[]string{"true", "id"}, "", 0, 0},
				{[]string{"exit"}, "", 0, RecordSize},
				{[]string{"exit", ""}, "", 0, RecordSize},
				{[]string{"exit", "17"}, "17", 0, RecordSize},
				{[]string{"exit", "12345678"}, "12345678", 0, RecordSize},
				{[]string{"exit", "123456789", "more"}, "12345678", 0, RecordSize},
				{[]string{""}, "", 2, 0},
				{[]string{"exi"}, "", 2, 0},
				{[]string{"exits"}, "", 2, 0},
				{[]string{"--help", "exit"}, "", 2, 0},
			} {
				before := monotonic(t)
				cmd := exec.Command(program[0], append(program[1:], test.args...)...)
				out, err := cmd.Output()
				after := monotonic(t)
				if cmd.ProcessState == nil {
					t.Fatal(err)
				}
				if code := cmd.ProcessState.ExitCode(); code != test.code || len(out) != test.out {
					t.Errorf("%q: exit code %d, %d bytes; want %d, %d", test.args, code, len(out), test.code, test.out)
					continue
				}
				records, err := ParseRecords(out)
				if err != nil {
					t.Errorf("%q: %v", test.args, err)
				}
				for _, r := range records {
					if r.ID != test.id || r.PID != cmd.Process.Pid || r.Time < before || r.Time > after {
						t.Errorf("%q: %+v; want id %q, pid %d, time in [%d, %d]", test.args, r, test.id, cmd.Process.Pid, before, after)
					}
				}
			}
		})
	}
}

func TestNoRecordNoSuccess(t *testing.T) {
	for _, arch := range architectures {
		t.Run(arch.name, func(t *testing.T) {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			program := program(t, arch.name)
			for _, mode := range []string{ModeExit, ModeWait} {
				argv := append(program, mode)
				closed := exec.Command("/bin/sh", "-c", strings.Join(argv, " ")+" >&-")
				onFull := exec.Command(argv[0], argv[1:]...)
				onFull.Stdout = full
				for _, cmd := range []*exec.Cmd{closed, onFull} {
					cmd.Run()
					if cmd.ProcessState.ExitCode() != 3 {
						t.Errorf("%v: %v, want exit code 3", cmd, cmd.ProcessState)
					}
				}
			}
		})
	}
}

func TestWait(t *testing.T) {
	for _, arch := range architectures {
		for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(arch.name+"/"+signal.String(), func(t *testing.T) {
				argv := append(program(t, arch.name), ModeWait, "w")
				cmd := exec.Command(argv[0], argv[1:]...)
				testWait(t, cmd, func() error { return cmd.Process.Signal(signal) })
			})
		}
	}
}

// As PID 1 of a namespace the probe must stop all the same.
func TestWaitAsInit(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root", "a PID namespace needs it")
	}
	cmd := exec.Command(program(t, runtime.GOARCH)[0], ModeWait, "w")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	r := testWait(t, cmd, func() error { return cmd.Process.Signal(syscall.SIGTERM) })
	if r.PID != 1 {
		t.Errorf("pid %d in its own namespace, want 1", r.PID)
	}
}

// testWait starts cmd, stops and continues it once its record is there, and
// ends it with kill.
func testWait(t *testing.T, cmd *exec.Cmd, kill func() error) Record {
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	out := make([]byte, RecordSize)
	if _, err := io.ReadFull(bufio.NewReader(pipe), out); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the waiting probe ended with %v", err)
	}
	records, err := ParseRecords(out)
	if err != nil || len(records) != 1 || records[0].ID != "w" {
		t.Fatalf("%v, %v", records, err)
	}
	return records[0]
}

// Many instances may append to one file.
func TestSharedFile(t *testing.T) {
	program := program(t, runtime.GOARCH)
	path := filepath.Join(t.TempDir(), "records")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const n = 50
	var cmds []*exec.Cmd
	for range n {
		cmd := exec.Command(program[0], ModeExit)
		cmd.Stdout = file
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	pids := map[int]bool{}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		pids[cmd.Process.Pid] = true
	}
	records, err := ParseRecords(readFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		delete(pids, r.PID)
	}
	if len(records) != n || len(pids) != 0 {
		t.Errorf("%d records, %d processes without one; want %d, 0", len(records), len(pids), n)
	}
}

func TestELFIsThisArchitecture(t *testing.T) {
	if !bytes.Equal(ELF(), readFile(t, "probe_"+runtime.GOARCH+".elf")) {
		t.Error("ELF is another file than the one of its architecture")
	}
}
