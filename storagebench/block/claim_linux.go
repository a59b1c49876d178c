package block

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Label is that of every file system that Mkfs makes: what bears it is ours to
// overwrite. zpools of ours have names that begin with it.
const Label = "plimsoll"

// Claim is a block device of the user's, kept from everybody else as long as
// parts of it are overwritten.
type Claim struct {
	file *os.File
	size int64
}

// NewClaim takes a device that is not in use. Unless overwrite is set, it must
// hold nothing that wipefs(8) knows but what a run left that was killed.
func NewClaim(ctx context.Context, path string, overwrite bool) (*Claim, error) {
	f, _, err := exclusive(path)
	if err != nil {
		return nil, err
	}
	c := &Claim{file: f}
	if c.size, err = f.Seek(0, io.SeekEnd); err != nil {
		err = fmt.Errorf("size of %s: %w", path, err)
	}
	if err == nil && !overwrite {
		err = free(ctx, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// Size of the device, in bytes.
func (c *Claim) Size() int64 { return c.size }

// Slice makes a loop device on a part of the claimed device, both in bytes.
func (c *Claim) Slice(ctx context.Context, offset, size int64) (*Device, error) {
	path := c.file.Name()
	if offset+size > c.size {
		return nil, fmt.Errorf("%s has %d bytes, and bytes %d to %d are wanted: take a larger device, or smaller parts", path, c.size, offset, offset+size)
	}
	f, err := c.nameless(offset)
	if err != nil {
		return nil, fmt.Errorf("slice of %s: %w", path, err)
	}
	defer f.Close()
	d, err := attachNew(ctx, f, uint64(offset), uint64(size))
	if err != nil {
		return nil, fmt.Errorf("loop device on %s: %w", path, err)
	}
	return d, nil
}

// nameless opens the device by a node of its own, which is gone then. By the
// device's own name mkfs.btrfs(8) takes all slices for one device, since their
// loop devices have the same file below them, and says that it is mounted as soon
// as one of them is. Nodes work where the device's is; a work directory may be
// mounted nodev.
func (c *Claim) nameless(offset int64) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(c.file.Fd()), &st); err != nil {
		return nil, err
	}
	node := filepath.Join(filepath.Dir(c.file.Name()), fmt.Sprintf("%s-%d-%d", Label, os.Getpid(), offset))
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(st.Rdev)); err != nil {
		return nil, fmt.Errorf("mknod %s: %w", node, err)
	}
	f, err := os.OpenFile(node, os.O_RDWR, 0)
	return f, errors.Join(err, os.Remove(node))
}

// Close gives the device back.
func (c *Claim) Close() error { return c.file.Close() }

// signature is what wipefs(8) finds: a file system, a partition table, a
// member of a RAID or of a volume group.
type signature struct{ kind, label string }

func signatures(ctx context.Context, device string) ([]signature, error) {
	out, err := Command(ctx, "wipefs", "--noheadings", "--output", "TYPE,LABEL", device)
	if err != nil {
		return nil, fmt.Errorf("ask what %s holds: %w", device, err)
	}
	return parseSignatures(string(out)), nil
}

// parseSignatures reads lines of a type, and a label where there is one, which
// may have blanks in it.
func parseSignatures(text string) []signature {
	var found []signature
	for line := range strings.Lines(text) {
		kind, label, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "" {
			found = append(found, signature{kind, strings.TrimSpace(label)})
		}
	}
	return found
}

// ours says that a run made it.
func (s signature) ours() bool { return s.label == Label || strings.HasPrefix(s.label, Label+"-") }

// free is an error where a device holds what no run made.
func free(ctx context.Context, device string) error {
	found, err := signatures(ctx, device)
	if err != nil {
		return err
	}
	for _, s := range found {
		if s.ours() {
			continue
		}
		what := s.kind
		if s.label != "" {
			what += fmt.Sprintf(", labelled %q", s.label)
		}
		return &NotEmptyError{device, what}
	}
	return nil
}

// NotEmptyError refuses a device that holds something.
type NotEmptyError struct{ Device, Holds string }

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("%s is not empty: it holds %s, and all that is on it would be lost (take another device, or empty it yourself: wipefs --all %s)", e.Device, e.Holds, e.Device)
}

// Wipe takes away the signatures of a device or a slice, so that nobody takes
// it for a file system.
func Wipe(ctx context.Context, device string) error {
	if _, err := Command(ctx, "wipefs", "--all", "--quiet", device); err != nil {
		return fmt.Errorf("take the signatures off %s: %w", device, err)
	}
	return nil
}

// WipeOurs is Wipe for a device on which a run was killed. A device that is
// gone, or holds by now what no run made, is left alone.
func WipeOurs(ctx context.Context, device string) error {
	if _, err := os.Stat(device); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	found, err := signatures(ctx, device)
	if err != nil || len(found) == 0 {
		return err
	}
	for _, s := range found {
		if !s.ours() {
			return nil
		}
	}
	return Wipe(ctx, device)
}
