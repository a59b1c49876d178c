package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// built is the directory of the program that the tests run: the one that users
// run, static, since containers get a copy of it. A test binary would not do.
var built string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "plimsoll-bench-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users start it too
		panic(err)
	}
	build := exec.Command("go", "build", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %s\n%s", err, out)
		return 1
	}
	built = dir
	return m.Run()
}

// TestScripts runs testdata/script: each shows a part of the command line.
func TestScripts(t *testing.T) {
	work := filepath.Join(built, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         work,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", built+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			return os.CopyFS(filepath.Join(env.WorkDir, "results"), os.DirFS("testdata/journals"))
		},
		Condition: lacks,
		Cmds:      map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command that must end with one of some statuses:
// "exits 0|4 bench run".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS[|STATUS]... COMMAND [ARG]...")
	}
	status := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s", err)
	}
	if !slices.Contains(strings.Split(args[0], "|"), fmt.Sprint(status)) {
		ts.Fatalf("exit status is %d", status)
	}
}

// lacks is the condition [lacks:CAPABILITY]. Where PLIMSOLL_REQUIRE names the
// capability, lacking it is an error.
func lacks(condition string) (bool, error) {
	capability, ok := strings.CutPrefix(condition, "lacks:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", condition)
	}
	reason := missing(capability)
	if reason != nil && slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		return false, fmt.Errorf("PLIMSOLL_REQUIRE names %s: %w", capability, reason)
	}
	return reason != nil, nil
}

// need skips a test, or fails it where PLIMSOLL_REQUIRE names what it lacks.
func need(t *testing.T, capability string) {
	t.Helper()
	without, err := lacks("lacks:" + capability)
	if err != nil {
		t.Fatal(err)
	}
	if without {
		t.Skipf("needs %s", capability)
	}
}

// missing says why the capability is not to be had: linux, root, or a program.
func missing(capability string) error {
	switch capability {
	case "linux":
		if runtime.GOOS != "linux" {
			return fmt.Errorf("this is %s", runtime.GOOS)
		}
		return nil
	case "root":
		if uid := os.Geteuid(); runtime.GOOS != "linux" || uid != 0 {
			return fmt.Errorf("this is user %d on %s", uid, runtime.GOOS)
		}
		return nil
	}
	_, err := exec.LookPath(capability)
	return err
}

// environ is the environment without the variables that are for the tests, or
// for a profile.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PLIMSOLL_") })
}
