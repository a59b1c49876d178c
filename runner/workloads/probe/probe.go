// Package probe holds the program that a start-up is timed with: an ELF file
// of a few hundred bytes, with no libc and no Go, whose own start would
// otherwise be in the figure.
//
//	probe exit [ID]   write a record, exit 0
//	probe wait [ID]   block SIGTERM and SIGINT, write a record, exit 0 when one of the two arrives
//	probe true        exit 0; so does the probe without arguments
//
// Its first instructions read CLOCK_MONOTONIC by a raw system call, before it
// looks at its arguments. The record is [RecordSize] bytes in one write to
// descriptor 1, so that many instances may append to one file or share a
// pipe (pipe(7): writes up to PIPE_BUF are atomic). Waiting takes the signals
// by rt_sigtimedwait(2): as PID 1 the probe would be deaf to them otherwise.
// Exit codes: 2 unknown mode, 3 the record was not written.
//
// The source is asm/amd64.s and asm/arm64.s; binutils, for one's own
// architecture and for the other, make the files that are embedded.
package probe

//go:generate x86_64-linux-gnu-as -o probe.o asm/amd64.s
//go:generate x86_64-linux-gnu-objcopy -O binary -j .text probe.o probe_amd64.elf
//go:generate aarch64-linux-gnu-as -o probe.o asm/arm64.s
//go:generate aarch64-linux-gnu-objcopy -O binary -j .text probe.o probe_arm64.elf
//go:generate rm probe.o

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The probe's first argument.
const (
	ModeExit = "exit"
	ModeWait = "wait"
	ModeTrue = "true"
)

// A record's size, its first bytes, and the longest identifier, in bytes.
const (
	RecordSize = 32
	Magic      = "PLIMSOLL"
	MaxID      = 8
)

// ELF returns the program for the architecture that this one runs on. The
// caller must not change it.
func ELF() []byte { return image }

// Record is what one instance of the probe wrote.
type Record struct {
	Time int64  // CLOCK_MONOTONIC in ns, as the first instructions read it: in a time namespace, that namespace's
	ID   string // the second argument, cut to MaxID bytes; "" without one
	PID  int    // in the probe's own PID namespace
}

// ParseRecords reads records that stand one after another, as instances that
// share a file or a pipe leave them. Anything else is an error, which names
// the offset; the records before it are returned with it.
func ParseRecords(data []byte) ([]Record, error) {
	var records []Record
	for offset := 0; offset < len(data); offset += RecordSize {
		r, err := parseRecord(data[offset:])
		if err != nil {
			return records, fmt.Errorf("read the probe's record at byte %d: %w", offset, err)
		}
		records = append(records, r)
	}
	return records, nil
}

func parseRecord(b []byte) (Record, error) {
	if !bytes.HasPrefix(b, []byte(Magic)) {
		return Record{}, fmt.Errorf("%q is not the probe's output", b[:min(len(b), RecordSize)])
	}
	if len(b) < RecordSize {
		return Record{}, fmt.Errorf("cut off after %d of %d bytes", len(b), RecordSize)
	}
	id := bytes.TrimRight(b[16:24], "\x00")
	r := Record{
		Time: int64(binary.LittleEndian.Uint64(b[8:])),
		ID:   string(id),
		PID:  int(int64(binary.LittleEndian.Uint64(b[24:]))),
	}
	// PID_MAX_LIMIT is 2^22. An argument cannot hold a zero byte.
	if r.Time <= 0 || r.PID <= 0 || r.PID > 1<<22 || bytes.IndexByte(id, 0) >= 0 {
		return Record{}, fmt.Errorf("%q is damaged: time %d, id %q, pid %d", b[:RecordSize], r.Time, id, r.PID)
	}
	return r, nil
}
