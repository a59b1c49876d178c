package operation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// spaceQuirks are about what is left. The last leaves a pool that cannot cope
// with being full unfit for more.
var spaceQuirks = []Quirk{
	{"statfs", "statfs counts what is written", "df misleads, and what watches disks does not warn", tryStatfs},
	{"inodes_exhausted", "without inodes no file can be made, files can be removed, and then made again", "a clone that has used up the inodes does not recover, or takes others with it", inodesExhausted},
	{"pool_full", "a full disk is ENOSPC, others read on, files can be removed, and then written again", "a clone that fills the pool loses data, or takes others with it", poolFull},
}

// noise is what no file system can compress or share: always the same.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// freeBytes is what statfs(2) says is left for everybody.
func freeBytes(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("statfs: %w", err)
	}
	unit := st.Frsize // of the counts; f_bsize is the best size of a transfer
	if unit == 0 {
		unit = st.Bsize
	}
	if st.Bavail > st.Bfree || st.Bfree > st.Blocks || st.Blocks == 0 {
		return 0, 0, fmt.Errorf("statfs: of %d blocks %d are free and %d available", st.Blocks, st.Bfree, st.Bavail)
	}
	return int64(st.Bavail) * unit, int64(st.Blocks) * unit, nil
}

func tryStatfs(ctx context.Context, s scene) error {
	before, _, err := freeBytes(s.dir)
	if err != nil {
		return err
	}
	const size = 16 << 20
	if err := os.WriteFile(s.path("written"), noise(size), 0o600); err != nil {
		return err
	}
	if _, err := s.target.Pool.Usage(ctx); err != nil { // writes back
		return err
	}
	after, _, err := freeBytes(s.dir)
	if err == nil && before-after < size/2 {
		err = fmt.Errorf("%d bytes were written, and %d are available after %d", size, after, before)
	}
	return errors.Join(err, os.Remove(s.path("written")))
}

// A file system with more inodes than these makes them as it needs them.
const manyInodes = 200_000

func inodesExhausted(ctx context.Context, s scene) error {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	if st.Files == 0 || st.Files > manyInodes {
		return nil
	}
	var made []string
	var err error
	for dir := ""; err == nil; {
		if len(made) > manyInodes {
			return fmt.Errorf("%d files were made where statfs says that there is room for %d", len(made), st.Ffree)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(made)%100 == 0 { // some get slow with many files in one directory
			dir = s.path(fmt.Sprintf("many-%d", len(made)))
			if err = os.Mkdir(dir, 0o755); err != nil {
				break
			}
		}
		name := filepath.Join(dir, strconv.Itoa(len(made)))
		if err = unix.Mknod(name, unix.S_IFREG|0o600, 0); err == nil {
			made = append(made, name)
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("without inodes: %w", err)
	}
	if err := os.Remove(s.file()); err != nil {
		return fmt.Errorf("without inodes a file of the image cannot be removed: %w", err)
	}
	for _, name := range made[:min(1000, len(made))] { // the others go with the clone
		if err := unix.Unlink(name); err != nil {
			return fmt.Errorf("remove one of %d files: %w", len(made), err)
		}
	}
	return s.worksAgain(ctx)
}

func poolFull(ctx context.Context, s scene) error {
	u, err := s.target.Pool.Usage(ctx)
	if err != nil {
		return err
	}
	free, _, err := freeBytes(s.dir)
	if err != nil {
		return err
	}
	if most := max(u.Free, free); most > 2*QuirkPoolSize {
		return fmt.Errorf("%d bytes are free: too many to be filled up", most)
	}
	full := fill(ctx, s.path("filler"), 4*QuirkPoolSize)
	if err := ctx.Err(); err != nil {
		return err
	}
	if !errors.Is(full, unix.ENOSPC) {
		return fmt.Errorf("when full: %w", full)
	}
	// What others read is not to come from memory.
	if err := evict(filepath.Join(s.other, "file")); err != nil && !errors.Is(err, ErrNotCold) {
		return err
	}
	others := s
	others.dir = s.other
	if err := others.whole(); err != nil {
		return fmt.Errorf("another clone cannot be read when full: %w", err)
	}
	if err := os.Remove(s.file()); err != nil {
		return fmt.Errorf("when full a file of the image cannot be removed: %w", err)
	}
	if err := os.Remove(s.path("filler")); err != nil {
		return fmt.Errorf("when full what filled it cannot be removed: %w", err)
	}
	return s.worksAgain(ctx)
}

// fill writes to a new file until that fails, and gives the error with which
// it fails.
func fill(ctx context.Context, path string, most int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := noise(1 << 20)
	for at := int64(0); at < most; at += int64(len(block)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		block[0]++ // some backends may find blocks that they have
		if _, err := f.Write(block); err != nil {
			return err
		}
		// A device that runs full below a file system that does not know of it
		// tells only those who flush.
		if at%(64<<20) == 0 {
			if err := f.Sync(); err != nil {
				return err
			}
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return fmt.Errorf("%d bytes fit in", most)
}

// patience is how long what was removed may take to become free: btrfs gives
// an emptied block group back when its cleaner comes by, every 30 s (commit in
// btrfs(5)) unless Usage wakes it.
const patience = 40 * time.Second

// worksAgain says whether the clone and another can be written to, once
// something was removed.
func (s scene) worksAgain(ctx context.Context) (err error) {
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		if _, err = s.target.Pool.Usage(ctx); err == nil {
			err = errors.Join(rewrite(s.path("again")), rewrite(filepath.Join(s.other, "again")))
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case time.Now().After(end):
			return fmt.Errorf("%v after something was removed: %w", patience, err)
		}
	}
}

// rewrite writes a file, and flushes it.
func rewrite(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.WriteString(f, quirkFiles["file"]); err != nil {
		return err
	}
	return f.Sync()
}
