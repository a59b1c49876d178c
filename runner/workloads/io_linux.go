package workloads

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// scratch is the directory that the io workload works in, made by whoever
// asks first.
func (j *job) scratch() (string, error) {
	if j.tmp == "" {
		tmp, err := os.MkdirTemp(cmp.Or(j.dir, os.Getenv("PLIMSOLL_DATA"), "."), "plimsoll-io-")
		if err != nil {
			return "", fmt.Errorf("make a directory to work in: %w", err)
		}
		j.tmp = tmp
	}
	return j.tmp, nil
}

// file is the file that is read and written, made by whoever asks first.
func (j *job) file() (*testFile, error) {
	if j.data == nil {
		dir, err := j.scratch()
		if err != nil {
			return nil, err
		}
		if j.data, err = newFile(filepath.Join(dir, "data"), int(j.block), j.direct); err != nil {
			return nil, err
		}
		// It lives on without a name, and no longer than the process.
		if err := errors.Join(unix.Unlink(j.data.path), j.data.fill(j.size)); err != nil {
			return nil, err
		}
	}
	return j.data, nil
}

// cleanUp takes away what scratch and file made.
func (j *job) cleanUp() error {
	if j.data != nil {
		j.data.close()
	}
	if j.tmp == "" {
		return nil
	}
	return os.RemoveAll(j.tmp)
}

func (j *job) seqRead() error   { return j.reads("seq_read", inOrder) }
func (j *job) randRead() error  { return j.reads("rand_read", atRandom) }
func (j *job) seqWrite() error  { return j.writes("seq_write", inOrder, writtenInOrder) }
func (j *job) randWrite() error { return j.writes("rand_write", atRandom, writtenAtRandom) }

// An order goes through n blocks without end, from 0 to n-1: each call gives
// the next.
type order func(n int) (next func() int)

func inOrder(n int) func() int {
	block := -1
	return func() int {
		if block++; block == n {
			block = 0
		}
		return block
	}
}

func atRandom(n int) func() int {
	random := rand.New(rand.NewPCG(5, 6))
	return func() int { return random.IntN(n) }
}

// reads reads blocks one after the other, each checked at both ends and the
// last in full, in bytes per second.
func (j *job) reads(metric string, o order) error {
	f, err := j.file()
	if err != nil {
		return err
	}
	next, block := o(f.blocks), 0
	return j.transfers(f, metric, func() error {
		block = next()
		if err := f.read(block); err != nil {
			return err
		}
		if !stamped(f.buffer, f.offset(block), filled) {
			return f.checkFilled(block)
		}
		return nil
	}, func() error { return f.checkFilled(block) })
}

// writes overwrites blocks one after the other, in bytes per second. Without
// O_DIRECT that is writing to the page cache: what the way to the disk costs
// is in fsync. The last blocks are read back.
func (j *job) writes(metric string, o order, g generation) error {
	f, err := j.file()
	if err != nil {
		return err
	}
	next := o(f.blocks)
	var last [16]int // blocks written
	count := 0
	return j.transfers(f, metric, func() error {
		block := next()
		last[count%len(last)] = block
		count++
		stamp(f.buffer, f.offset(block), g)
		return f.write(block)
	}, func() error {
		for _, block := range last[:min(count, len(last))] {
			if err := f.read(block); err != nil {
				return err
			}
			if !stamped(f.buffer, f.offset(block), g) {
				return fmt.Errorf("read %s: what was written at byte %d is not there", f.path, f.offset(block))
			}
		}
		return nil
	})
}

// transfers measures a transfer of one block, over and over on a thread of
// its own, and then checks what came of it.
func (j *job) transfers(f *testFile, metric string, one func() error, check func() error) error {
	// Looking at the clock takes as long as a tenth of a small cached read.
	batch := 1
	if !f.direct {
		batch = max(1, 256<<10/f.block)
	}
	return onThreads(1, func(int) error {
		times, elapsed, err := j.repeat(func() error {
			for range batch {
				if err := one(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := check(); err != nil {
			return err
		}
		if f.direct {
			if err := f.checkUncached(); err != nil {
				return err
			}
		}
		return j.rate(metric, "B/s", float64(times)*float64(batch)*float64(f.block)/elapsed.Seconds())
	})
}

// fsync appends a block to a file and flushes it, as a database's log does:
// fsync, in seconds, is the median of both together.
func (j *job) fsync() error {
	dir, err := j.scratch()
	if err != nil {
		return err
	}
	f, err := newFile(filepath.Join(dir, "log"), int(j.block), j.direct)
	if err != nil {
		return err
	}
	defer f.close()
	return onThreads(1, func(int) error {
		var took []float64
		times, _, err := j.repeat(func() error {
			if f.offset(f.blocks+1) > j.size { // the log is full: the next one
				if err := unix.Ftruncate(f.fd, 0); err != nil {
					return fmt.Errorf("empty %s: %w", f.path, err)
				}
				f.blocks = 0
			}
			start := time.Now()
			err := f.write(f.blocks)
			if err == nil {
				err = f.flush()
			}
			took = append(took, time.Since(start).Seconds())
			f.blocks++
			return err
		})
		if err != nil {
			return err
		}
		var status unix.Stat_t
		if err := unix.Fstat(f.fd, &status); err != nil || status.Size != f.offset(f.blocks) {
			return fmt.Errorf("%s has %d bytes, and %d were written (%v)", f.path, status.Size, f.offset(f.blocks), err)
		}
		took = took[len(took)-times:]
		slices.Sort(took)
		return j.time("fsync", took[len(took)/2])
	})
}

// metadata creates an empty file, asks for its status, renames it and removes
// it: metadata, in operations per second, of which that is four.
func (j *job) metadata() error {
	dir, err := j.scratch()
	if err != nil {
		return err
	}
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(at)
	var status unix.Stat_t
	times, elapsed, err := j.repeat(func() error {
		fd, err := unix.Openat(at, "old", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return fmt.Errorf("create a file in %s: %w", dir, err)
		}
		unix.Close(fd)
		if err := unix.Fstatat(at, "old", &status, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("ask for the status of a file in %s: %w", dir, err)
		}
		if err := unix.Renameat(at, "old", at, "new"); err != nil {
			return fmt.Errorf("rename a file in %s: %w", dir, err)
		}
		if err := unix.Unlinkat(at, "new", 0); err != nil {
			return fmt.Errorf("remove a file in %s: %w", dir, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"old", "new"} {
		if err := unix.Fstatat(at, name, &status, 0); !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("%s is still in %s after it was renamed or removed (%v)", name, dir, err)
		}
	}
	return j.rate("metadata", "op/s", 4*float64(times)/elapsed.Seconds())
}
