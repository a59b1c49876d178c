package dm

import (
	"fmt"
	"strconv"
	"strings"
)

// ThinUsage is the state of a thin pool.
type ThinUsage struct {
	MetadataUsed, MetadataTotal int64 // blocks of 4 KiB
	DataUsed, DataTotal         int64 // blocks of BlockSize
	BlockSize                   int64 // bytes

	// Mode is rw, ro, out_of_data_space or Fail.
	Mode string
}

// Used is what is allocated, in bytes, metadata included.
func (u ThinUsage) Used() int64 { return u.MetadataUsed*4096 + u.DataUsed*u.BlockSize }

// Free is how much data can still be written, in bytes.
func (u ThinUsage) Free() int64 { return (u.DataTotal - u.DataUsed) * u.BlockSize }

// Full says that the pool takes no more: it is out of data blocks, or of
// metadata and therefore read-only.
func (u ThinUsage) Full() bool {
	return u.Mode == "out_of_data_space" || u.DataUsed == u.DataTotal || u.MetadataUsed == u.MetadataTotal
}

// ParseThinUsage reads the status of a thin-pool target, see "Status" in
// thin-provisioning.rst:
//
//	<transaction id> <used metadata blocks>/<total> <used data blocks>/<total>
//	<held metadata root> rw|ro|out_of_data_space [no_]discard_passdown ...
//
// or Fail alone.
func ParseThinUsage(status string, blockSize int64) (ThinUsage, error) {
	u := ThinUsage{BlockSize: blockSize}
	f := strings.Fields(status)
	if len(f) == 1 {
		u.Mode = f[0]
		return u, fmt.Errorf("the thin pool has failed (status %q): its metadata cannot be read or written, the kernel's log says why", status)
	}
	if len(f) < 5 {
		return u, fmt.Errorf("status of a thin pool %q: %d words, want 5 at the least", status, len(f))
	}
	var err error
	if u.MetadataUsed, u.MetadataTotal, err = parsePart(f[1]); err != nil {
		return u, fmt.Errorf("status of a thin pool %q: metadata: %w", status, err)
	}
	if u.DataUsed, u.DataTotal, err = parsePart(f[2]); err != nil {
		return u, fmt.Errorf("status of a thin pool %q: data: %w", status, err)
	}
	u.Mode = f[4]
	return u, nil
}

func parsePart(text string) (used, total int64, err error) {
	a, b, _ := strings.Cut(text, "/")
	// A block is of 1 GiB at the most: 33 bits make the bytes fit.
	if used, err = strconv.ParseInt(a, 10, 33); err != nil {
		return 0, 0, err
	}
	total, err = strconv.ParseInt(b, 10, 33)
	if err == nil && (used < 0 || used > total) {
		err = fmt.Errorf("%d of %d used", used, total)
	}
	return used, total, err
}
