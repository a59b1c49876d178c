package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/storagebench"
	"plimsoll/storagebench/block"
)

// A ledger lists what a run makes outside the kernel's own reference counting,
// each entry written before the thing is made: a run that is killed is undone
// from it. Only the roots of trees are in it: a work directory with all that
// is in it and mounted below it, the run's cgroup in each hierarchy.
type ledger struct {
	file *os.File // locked while its run lives
}

type entry struct {
	Kind string `json:"kind"` // "cgroup", "dir", "device", or of a storagebench.Resource
	Path string `json:"path"` // or the resource's name
}

const dirPrefix = "plimsoll-"

// ledgerDir is where the ledgers of this user are: it outlives a reboot, since
// work directories do.
func ledgerDir() string {
	if os.Getuid() == 0 {
		return "/var/lib/plimsoll"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "plimsoll")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local/state/plimsoll")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("plimsoll-ledger-%d", os.Getuid()))
}

// openLedger makes the ledger of a run and locks it.
func openLedger(run string) (*ledger, error) {
	for {
		if err := os.MkdirAll(ledgerDir(), 0o700); err != nil {
			return nil, fmt.Errorf("ledger of run %s: %w", run, err)
		}
		l, err := takeLedger(run+".jsonl", os.O_CREATE|os.O_EXCL)
		if errors.Is(err, os.ErrNotExist) {
			continue // the directory went with the last ledger of others
		}
		return l, err
	}
}

// takeLedger opens a ledger and locks it, both under the directory's lock: so
// that no clean takes one for abandoned before its run has locked it.
func takeLedger(name string, flags int) (*ledger, error) {
	dir, err := os.Open(ledgerDir())
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	f, err := os.OpenFile(filepath.Join(dir.Name(), name), os.O_RDWR|os.O_APPEND|flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock ledger %s: %w", f.Name(), err)
	}
	return &ledger{f}, nil
}

func (l *ledger) add(kind string, paths ...string) error {
	for _, path := range paths {
		line, err := json.Marshal(entry{kind, path})
		if err != nil {
			return fmt.Errorf("ledger %s: %w", l.file.Name(), err)
		}
		if _, err := l.file.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

// finish undoes what the ledger lists and removes it.
func (l *ledger) finish(ctx context.Context) error {
	entries, err := readLedger(l.file.Name())
	if err == nil {
		err = undo(ctx, entries)
	}
	if err == nil {
		err = os.Remove(l.file.Name())
		os.Remove(filepath.Dir(l.file.Name())) // when it was the last
	}
	return errors.Join(err, l.file.Close())
}

// Cleaned says what Clean did.
type Cleaned struct {
	Undone []string // runs that were killed and are undone now
	Live   []string // runs that are under way: left alone
}

// Clean undoes what killed runs of this user left on the host. A run that
// lives holds a lock on its ledger; nothing that is in no ledger is touched.
func Clean(ctx context.Context) (Cleaned, error) {
	var done Cleaned
	paths, err := filepath.Glob(filepath.Join(ledgerDir(), "*.jsonl"))
	if err != nil {
		return done, err
	}
	var errs []error
	for _, path := range paths {
		run := strings.TrimSuffix(filepath.Base(path), ".jsonl")
		l, err := takeLedger(filepath.Base(path), 0)
		switch {
		case errors.Is(err, os.ErrNotExist): // another clean was quicker
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			done.Live = append(done.Live, run)
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		}
		if err := l.finish(ctx); err != nil {
			errs = append(errs, fmt.Errorf("clean run %s: %w (its ledger %s is kept)", run, err, path))
			continue
		}
		done.Undone = append(done.Undone, run)
	}
	return done, errors.Join(errs...)
}

// readLedger reads the entries; a torn last line was written for something
// that was then not made.
func readLedger(path string) ([]entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var entries []entry
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// undoWait bounds the killing of a run's processes.
const undoWait = 30 * time.Second

// undo kills the run's processes, takes its mounts and directories away, and
// last its cgroups.
func undo(ctx context.Context, entries []entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
	defer cancel()
	var errs []error
	var groups []string
	for _, e := range entries {
		if e.Kind == "cgroup" {
			groups = append(groups, e.Path)
		}
	}
	errs = append(errs, cgroup.Clean(ctx, groups))
	var dirs, devices []string
	var pools []storagebench.Resource
	for _, e := range entries {
		switch e.Kind {
		case "cgroup":
		case "dir":
			if err := unmountBelow(e.Path); err != nil {
				errs = append(errs, err)
				continue
			}
			dirs = append(dirs, e.Path)
		case "device":
			devices = append(devices, e.Path)
		default:
			pools = append(pools, storagebench.Resource{Kind: e.Kind, Name: e.Path})
		}
	}
	// What stood on the mounts goes before the files that it stands on.
	errs = append(errs, storagebench.Undo(ctx, pools))
	for _, device := range devices {
		errs = append(errs, block.WipeOurs(ctx, device))
	}
	for _, dir := range slices.Backward(dirs) {
		errs = append(errs, removeTree(dir))
	}
	return errors.Join(errs...)
}

// removeTree removes a directory of ours, and does not go into a mount.
func removeTree(dir string) error {
	if err := unmountBelow(dir); err != nil { // what a ZFS pool mounted anew
		return err
	}
	return os.RemoveAll(dir)
}

// unmountBelow unmounts what is mounted below a directory of ours. It is an
// error if something stays.
func unmountBelow(dir string) error {
	if !filepath.IsAbs(dir) || !strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		return fmt.Errorf("remove %q: not a directory that a run makes; left alone", dir)
	}
	below, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return fmt.Errorf("mounts below %s: %w", dir, err)
	}
	// A kill in the middle of a freeze would keep the device for ever, and whoever
	// unmounts what stands on a file in it: all are thawed before that.
	for _, m := range below {
		if m.FSType == "xfs" {
			block.Thaw(m.Mountpoint)
		}
	}
	for _, m := range slices.Backward(below) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
		}
	}
	if below, err = mountinfo.GetMounts(mountinfo.PrefixFilter(dir)); err != nil || len(below) > 0 {
		return fmt.Errorf("remove %s: %d mounts are still below it: %w", dir, len(below), err)
	}
	return nil
}
