package cgroup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// scopeWait is how long systemd has for a scope that is empty. On an idle host it
// takes some milliseconds.
const scopeWait = 5 * time.Second

// removeScope removes the group of a run's scope that systemd has left behind:
// nothing when there are processes in it, for the scope's end is their end.
//
// systemd tries once, when cgroup.events says that the scope is empty. Is there
// a group below it still, because that was being removed just then, the answer is
// EBUSY, and systemd forgets the scope (unit_prune_cgroup in its
// src/core/cgroup.c). So it does with one that it took for empty before the
// first process was there (https://github.com/systemd/systemd/issues/36781).
// It goes first, for a unit whose group is gone before cgroup.events was read
// would stay.
func removeScope(ctx context.Context, dir string, wait time.Duration) error {
	if !strings.HasSuffix(dir, ".scope") || !isRunName(filepath.Base(dir)) {
		return nil
	}
	if pids, err := treePIDs(dir); err != nil || len(pids) > 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	poll(waiting, func() (bool, error) {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist), nil
	})
	return removeTree(ctx, dir)
}
