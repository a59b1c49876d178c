package scope

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"plimsoll/isolate/cgroup"
)

// These tests ask the systemd that runs this host. What goes to a scope is this test
// binary, started again: it plays a run that is killed.
const helperVariable = "PLIMSOLL_SCOPE_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		if err := helper(name); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func needSystemd(t *testing.T) {
	t.Helper()
	_, err := busAddress("/", os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"))
	if err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), "systemd") {
		t.Fatalf("PLIMSOLL_REQUIRE says that systemd runs this host: %v", err)
	}
	t.Skip(err)
}

// helper enters a scope and makes a run in it, with a container that is limited by each controller
// that it was given. It prints where its groups are, then what went wrong if
// anything did, and waits to be killed.
func helper(name string) error {
	if name == "contained" {
		time.Sleep(time.Minute)
		return nil
	}
	if err := Enter(context.Background(), cgroup.Prefix+name, "a test"); err != nil {
		return err
	}
	host, err := cgroup.Detect("/")
	if err != nil {
		return err
	}
	for _, path := range host.RunPaths(name) {
		fmt.Println(path)
	}
	run, err := host.NewRun(name)
	if err != nil {
		return err
	}
	var limits cgroup.Limits
	for _, of := range []struct {
		controller cgroup.Controller
		set        func()
	}{
		{cgroup.CPU, func() { limits.CPU = 0.5 }},
		{cgroup.Memory, func() { limits.Memory = 256 << 20 }},
		{cgroup.PIDs, func() { limits.PIDs = 100 }},
	} {
		if _, err := host.Lookup(of.controller); err == nil {
			of.set()
		} else if os.Geteuid() == 0 || host.Hierarchies[0].Version == 2 && len(host.Hierarchies) == 1 {
			return err
		}
	}
	group, err := run.Create("contained", limits)
	if err != nil {
		return err
	}
	contained := exec.Command("/proc/self/exe")
	contained.Env = append(os.Environ(), helperVariable+"=contained")
	contained.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := contained.Start(); err != nil {
		return err
	}
	if err := group.AddPID(contained.Process.Pid); err != nil {
		return err
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	return nil
}

// TestScope: a run that asked for a scope has all its groups below it, limits work
// there, and after it was killed nothing is left once its ledger was worked off.
func TestScope(t *testing.T) {
	needSystemd(t)
	if host, err := cgroup.Detect("/"); err != nil {
		t.Fatal(err)
	} else if os.Geteuid() != 0 && host.Hierarchies[0].Version == 1 {
		t.Skip("systemd gives no v1 controller to an ordinary user")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	name := fmt.Sprintf("test-scope-%d-%d", os.Getpid(), time.Now().UnixNano())
	run := exec.CommandContext(ctx, "/proc/self/exe")
	run.Env = append(os.Environ(), helperVariable+"="+name)
	run.Stderr = os.Stderr
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	var paths []string
	ready := false
	for lines := bufio.NewScanner(out); !ready && lines.Scan(); {
		switch line := lines.Text(); {
		case line == "ready":
			ready = true
		case strings.HasPrefix(line, "/"):
			paths = append(paths, line)
		default:
			t.Error(line)
		}
	}
	unit := cgroup.Prefix + name + ".scope"
	scopes := map[string]bool{}
	for _, path := range paths {
		if dir := filepath.Dir(path); filepath.Base(dir) == unit && exists(dir) {
			scopes[dir] = true
			continue
		}
		// v1 controllers that systemd does not manage, which a user does not get
		if os.Geteuid() != 0 && exists(path) {
			t.Errorf("%s is outside of the scope", path)
		}
	}
	if len(scopes) == 0 {
		t.Errorf("no group of %v is in %s", paths, unit)
	}
	for _, path := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if group := filepath.Join(path, cgroup.Prefix+name); exists(group) {
			t.Errorf("%s was made behind systemd's back", group)
		}
	}
	run.Process.Kill()
	run.Wait()
	if ready {
		time.Sleep(50 * time.Millisecond)
		for dir := range scopes {
			if !exists(dir) {
				t.Errorf("%s is gone with a container in it", dir)
			}
		}
	}
	if err := cgroup.Clean(ctx, paths); err != nil {
		t.Error(err)
	}
	for dir := range scopes {
		for exists(dir) {
			if ctx.Err() != nil {
				t.Fatalf("%s is left", dir)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
