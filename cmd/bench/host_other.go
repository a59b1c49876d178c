//go:build !linux

package main

import (
	"context"
	"fmt"
	"runtime"
)

func notHere(what string) error {
	return fmt.Errorf("%s needs Linux, and this is %s; reports can be made here: bench report DIR", what, runtime.GOOS)
}

func measure(context.Context, runOptions, streams) error { return notHere("measuring") }

func clean(context.Context, streams) error { return notHere("cleaning up after runs") }

func tryRuntimes(context.Context, []string) ([]runtimeStatus, error) {
	return nil, notHere("trying runtimes")
}
