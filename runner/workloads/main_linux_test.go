package workloads

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// childVariable makes the test binary a program that runs one workload: its
// arguments are the workload's name, its directory, and its parameters.
const childVariable = "PLIMSOLL_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	params := map[string]string{}
	for _, arg := range os.Args[3:] {
		key, value, _ := strings.Cut(arg, "=")
		params[key] = value
	}
	if err := Run(context.Background(), os.Args[1], params, os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
