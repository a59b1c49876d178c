package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"plimsoll/hostcheck"
	"plimsoll/profiles"
	"plimsoll/runner/local"
)

// clean carries out bench clean.
func clean(ctx context.Context, s streams) error {
	ctx, release := untilStopped(ctx, s.err)
	defer release()
	done, err := local.Clean(ctx)
	hostcheck.Clean()
	for _, run := range done.Undone {
		fmt.Fprintf(s.out, "removed what run %s left\n", run)
	}
	for _, run := range done.Live {
		fmt.Fprintf(s.out, "left run %s alone: it is under way\n", run)
	}
	if len(done.Undone)+len(done.Live) == 0 && err == nil {
		fmt.Fprintln(s.out, "nothing to remove")
	}
	return withStatus(statusNo, err)
}

// tryRuntimes starts a container with each runtime of levels.
func tryRuntimes(ctx context.Context, levels []string) (_ []runtimeStatus, err error) {
	ctx, release := untilStopped(ctx, os.Stderr)
	defer release()
	set := profiles.Setting{From: "--runtime", Path: "factors.runtime", Value: list(levels)}
	p, err := profiles.Load("", profiles.Overrides{Set: []profiles.Setting{set}})
	if err != nil {
		return nil, withStatus(statusUsage, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ex, err := local.Open(ctx, local.Options{Run: runName(time.Now().UTC()), Profile: p, Self: self})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ex.Close(ctx)) }()
	var list []runtimeStatus
	for _, r := range ex.Runtimes() {
		list = append(list, runtimeStatus(r))
	}
	return list, nil
}
