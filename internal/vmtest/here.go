package vmtest

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// TestHere runs tests on this host, "package name" each as Unproven gives them,
// and writes what go test -json does. Whether they pass is in that.
func TestHere(ctx context.Context, tests []string, stdout io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-p", "1"}, hereArgs(tests)...)...)
	cmd.Stdout, cmd.Stderr = stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return nil
	}
	return err
}

// hereArgs are a pattern of the tests, and the packages that they are in. A
// subtest comes with all of its test.
func hereArgs(tests []string) []string {
	packages, names := map[string]bool{}, map[string]bool{}
	for _, t := range tests {
		pkg, name, _ := strings.Cut(t, " ")
		name, _, _ = strings.Cut(name, "/")
		packages[pkg], names[regexp.QuoteMeta(name)] = true, true
	}
	pattern := "^(" + strings.Join(slices.Sorted(maps.Keys(names)), "|") + ")$"
	return append([]string{"-run", pattern}, slices.Sorted(maps.Keys(packages))...)
}
