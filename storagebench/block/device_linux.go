package block

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Device is a block device: a loop device of our own, or one that exists.
type Device struct {
	Path string // "/dev/loop3"

	// File is the sparse file below a loop device, "" for another device.
	File string

	// Direct says that what a loop device reads and writes is not kept a second
	// time, in the page cache of the file system below it. Where that cannot do
	// direct I/O a flush of the device still reaches it.
	Direct bool

	number uint64   // dev_t
	loop   *os.File // keeps a loop device from being cleared while nothing is mounted
	made   bool     // File is ours to remove
}

// Open gives a device that exists. It must not be in use: what it holds will
// be overwritten.
func Open(path string) (*Device, error) {
	f, number, err := exclusive(path)
	if err != nil {
		return nil, err
	}
	return &Device{Path: path, number: number}, f.Close()
}

// exclusive opens a block device that nobody else has so, and gives its number.
func exclusive(path string) (f *os.File, number uint64, err error) {
	// Looked at first: O_EXCL alone means nothing to what is no device.
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, 0, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return nil, 0, fmt.Errorf("%s is not a block device", path)
	}
	// O_EXCL on a block device that is mounted, or is part of another, is EBUSY:
	// open(2).
	f, err = os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, 0, fmt.Errorf("%s is mounted, or part of another device: %w", path, err)
	}
	return f, st.Rdev, err
}

// Counters are bytes that a device has read and written since it was there, and
// how many requests it has yet to serve.
type Counters struct {
	Read     int64
	Written  int64
	InFlight int64
}

// Counters reads the kernel's own.
func (d *Device) Counters() (Counters, error) {
	return countersOf(d.number)
}

func countersOf(number uint64) (Counters, error) {
	name := filepath.Join("/sys/dev/block",
		fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number)), "stat")
	text, err := os.ReadFile(name)
	if err != nil {
		return Counters{}, err
	}
	c, err := parseCounters(string(text))
	if err != nil {
		return Counters{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// parseCounters reads a stat file: Documentation/block/stat.rst. A sector is
// of 512 bytes there, whatever the device's are.
func parseCounters(text string) (Counters, error) {
	fields := strings.Fields(text)
	if len(fields) < 11 {
		return Counters{}, fmt.Errorf("%d fields where at least 11 were expected", len(fields))
	}
	read, err := strconv.ParseInt(fields[2], 10, 54)
	if err != nil {
		return Counters{}, fmt.Errorf("sectors read: %w", err)
	}
	written, err := strconv.ParseInt(fields[6], 10, 54)
	if err != nil {
		return Counters{}, fmt.Errorf("sectors written: %w", err)
	}
	inFlight, err := strconv.ParseInt(fields[8], 10, 64)
	if err != nil {
		return Counters{}, fmt.Errorf("requests in flight: %w", err)
	}
	return Counters{Read: read * 512, Written: written * 512, InFlight: inFlight}, nil
}
