//go:build !linux

package hostcheck

import (
	"fmt"
	"runtime"
)

// Checks are those that can be made here: none.
func Checks() []Check { return nil }

// Run needs Linux; [Judge] does not.
func Run(Options) (*Report, error) {
	return nil, fmt.Errorf("check this host: it runs %s, and containers need Linux; a kernel's configuration can be judged with --config FILE", runtime.GOOS)
}

// host is what checks examine; there is none here.
type host struct{}
