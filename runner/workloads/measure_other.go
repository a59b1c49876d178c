//go:build !linux

package workloads

import (
	"context"
	"errors"
	"runtime"
)

func measure(context.Context, string, options, string, func(Measurement) error) error {
	return errors.New("workloads are measured on Linux, and this is " + runtime.GOOS)
}
