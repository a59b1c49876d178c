package dm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Target is one line of a device's table, or of its status: Params then is what
// the target says of itself.
type Target struct {
	Start, Length uint64 // sectors
	Type          string // "linear", "thin-pool"
	Params        string
}

// Version is a target type that the kernel has, loaded or built in.
type Version struct {
	Type    string
	Version [3]uint32
}

// request is what all ioctls take: the head, and what follows it.
type request struct {
	name, uuid string
	flags      uint32
	event      uint32 // the cookie, see udevLeave
	targets    uint32
	data       []byte
	room       int // for the reply, beyond the head
}

// encode lays a request out as struct dm_ioctl and its data.
func (r request) encode() ([]byte, error) {
	head := unix.DmIoctl{
		// The oldest version with all that is asked for: dm-ioctl.c refuses
		// only what is newer than itself.
		Version:      [3]uint32{unix.DM_VERSION_MAJOR, 0, 0},
		Data_size:    uint32(unix.SizeofDmIoctl + max(len(r.data), r.room)),
		Data_start:   unix.SizeofDmIoctl,
		Target_count: r.targets,
		Flags:        r.flags,
		Event_nr:     r.event,
	}
	// Both are strings in C, and end with a zero byte.
	if copy(head.Name[:len(head.Name)-1], r.name) < len(r.name) || copy(head.Uuid[:len(head.Uuid)-1], r.uuid) < len(r.uuid) {
		return nil, fmt.Errorf("name %q or uuid %q: %w", r.name, r.uuid, unix.ENAMETOOLONG)
	}
	buf, err := binary.Append(make([]byte, 0, head.Data_size), binary.NativeEndian, head)
	if err != nil {
		return nil, err
	}
	return append(buf, r.data...)[:head.Data_size], nil
}

// decode gives the head of a reply and its data.
func decode(buf []byte) (head unix.DmIoctl, data []byte, err error) {
	if _, err := binary.Decode(buf, binary.NativeEndian, &head); err != nil {
		return head, nil, err
	}
	if int64(head.Data_size) > int64(len(buf)) {
		return head, nil, fmt.Errorf("%d bytes of data where there is room for %d", head.Data_size, len(buf))
	}
	if head.Data_size <= head.Data_start { // 305, where the head's own padding begins, when there is none
		return head, nil, nil
	}
	return head, buf[head.Data_start:head.Data_size], nil
}

// encodeTable is the data of DM_TABLE_LOAD: specs, each followed by its
// parameters and aligned to 8 bytes.
func encodeTable(table []Target) ([]byte, error) {
	var buf []byte
	for _, t := range table {
		next := (unix.SizeofDmTargetSpec + len(t.Params) + 1 + 7) &^ 7
		spec := unix.DmTargetSpec{Sector_start: t.Start, Length: t.Length, Next: uint32(next)}
		if copy(spec.Target_type[:len(spec.Target_type)-1], t.Type) < len(t.Type) {
			return nil, fmt.Errorf("target type %q: %w", t.Type, unix.ENAMETOOLONG)
		}
		end := len(buf) + next
		var err error
		if buf, err = binary.Append(buf, binary.NativeEndian, spec); err != nil {
			return nil, err
		}
		buf = append(buf, t.Params...)
		buf = append(buf, make([]byte, end-len(buf))...)
	}
	return buf, nil
}

// encodeMessage is the data of DM_TARGET_MSG for the target at sector 0.
func encodeMessage(text string) []byte {
	return append(append(make([]byte, 8), text...), 0)
}

// parseTable reads the data of DM_TABLE_STATUS: count specs; next counts from
// the first, otherwise than in a table that is loaded.
func parseTable(data []byte, count uint32) ([]Target, error) {
	var table []Target
	for at, end := 0, 0; len(table) < int(count); at = end {
		var spec unix.DmTargetSpec
		if _, err := binary.Decode(data[at:], binary.NativeEndian, &spec); err != nil {
			return nil, fmt.Errorf("target %d: %w", len(table), err)
		}
		end = int(spec.Next)
		if end < at+unix.SizeofDmTargetSpec || end > len(data) {
			return nil, fmt.Errorf("target %d, at %d of %d bytes, ends at %d", len(table), at, len(data), end)
		}
		table = append(table, Target{
			Start: spec.Sector_start, Length: spec.Length,
			Type: text(spec.Target_type[:]), Params: text(data[at+unix.SizeofDmTargetSpec : end]),
		})
	}
	return table, nil
}

// parseNames reads the data of DM_LIST_DEVICES. A list of none is no data, or
// before Linux 5.12 one entry without a device.
func parseNames(data []byte) ([]string, error) {
	var names []string
	err := records(data, 12, func(record []byte) {
		if binary.NativeEndian.Uint64(record) != 0 {
			names = append(names, text(record[12:]))
		}
	})
	return names, err
}

// parseVersions reads the data of DM_LIST_VERSIONS.
func parseVersions(data []byte) ([]Version, error) {
	var all []Version
	err := records(data, 16, func(record []byte) {
		v := Version{Type: text(record[16:])}
		for i := range v.Version {
			v.Version[i] = binary.NativeEndian.Uint32(record[4+4*i:])
		}
		all = append(all, v)
	})
	return all, err
}

// records walks a list whose entries say where, from their own start, the next
// one is; the last says 0. The offset is the last field of an entry's head in
// struct dm_name_list (12 bytes) and the first in dm_target_versions (16).
func records(data []byte, head int, each func([]byte)) error {
	offset := 0
	if head == 12 {
		offset = 8
	}
	if len(data) == 0 {
		return nil
	}
	for {
		if len(data) < head {
			return fmt.Errorf("entry of %d bytes, want %d at the least", len(data), head)
		}
		next := binary.NativeEndian.Uint32(data[offset:])
		if uint64(next) > uint64(len(data)) {
			return fmt.Errorf("next entry at %d of %d bytes", next, len(data))
		}
		if next == 0 {
			each(data)
			return nil
		}
		if int(next) < head {
			return fmt.Errorf("next entry at %d, within the head of this one", next)
		}
		each(data[:next])
		data = data[next:]
	}
}

// text is a string in C.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
