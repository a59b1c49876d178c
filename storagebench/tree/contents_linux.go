package tree

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// chunk is how much is read at once: as much as cp does it with pays no more.
const chunk = 256 << 10

// Contents copies what a file holds with read and write, and leaves out its
// holes. Nothing is shared: copy_file_range, which io.Copy and cp use, makes
// reflinks on btrfs and xfs.
func Contents(to, from *os.File, size int64) error {
	buffer := make([]byte, min(chunk, max(size, 1)))
	for at := int64(0); ; {
		at = nextData(from, at, size)
		if at >= size {
			return to.Truncate(size) // also the hole at the end
		}
		end := hole(from, at, size)
		n, err := from.ReadAt(buffer[:min(int64(len(buffer)), end-at)], at)
		if n == 0 {
			if err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := to.WriteAt(buffer[:n], at); err != nil {
			return err
		}
		at += int64(n)
	}
}

// nextData is the first offset from at on where a file of that size has
// something else than a hole. A file system without SEEK_DATA has data
// everywhere.
func nextData(f *os.File, at, size int64) int64 {
	next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return size
	case err != nil:
		return at
	}
	return next
}

// hole is where the data that is at an offset ends.
func hole(f *os.File, at, size int64) int64 {
	end, err := unix.Seek(int(f.Fd()), at, unix.SEEK_HOLE)
	if err != nil || end <= at {
		return size
	}
	return min(end, size)
}

// sameContents compares two regular files of one size.
func sameContents(a, b string, size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	fa, err := openFile(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := openFile(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	buffer := make([]byte, 2*min(chunk, size))
	ba, bb := buffer[:len(buffer)/2], buffer[len(buffer)/2:]
	for at := int64(0); ; {
		at = min(nextData(fa, at, size), nextData(fb, at, size))
		if at >= size {
			return true, nil
		}
		n := min(int64(len(ba)), size-at)
		for _, r := range []struct {
			f *os.File
			b []byte
		}{{fa, ba[:n]}, {fb, bb[:n]}} {
			if _, err := r.f.ReadAt(r.b, at); err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
		}
		if !bytes.Equal(ba[:n], bb[:n]) {
			return false, nil
		}
		at += n
	}
}

// openFile opens what lstat saw as a regular file. It neither follows a link
// nor waits for the other end of a FIFO if somebody put one there meanwhile.
func openFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}
