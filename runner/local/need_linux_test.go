package local

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// need skips the test where the host lacks a capability, unless
// PLIMSOLL_REQUIRE lists it: then a lack is a failure, so that a suite that is
// meant to prove something cannot go silently empty.
func need(t *testing.T, capability string, has bool) {
	t.Helper()
	if has {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not", capability)
	}
	t.Skipf("needs %s", capability)
}
