package btrfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// command makes one with attributes of type and value.
func command(number uint16, attrs ...any) []byte {
	var body []byte
	for i := 0; i < len(attrs); i += 2 {
		value := attrs[i+1].(string)
		body = binary.LittleEndian.AppendUint16(body, uint16(attrs[i].(int)))
		body = binary.LittleEndian.AppendUint16(body, uint16(len(value)))
		body = append(body, value...)
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	head = binary.LittleEndian.AppendUint16(head, number)
	head = binary.LittleEndian.AppendUint32(head, 0xfeedbeef) // a checksum, which is the pipe's matter
	return append(head, body...)
}

func stream(commands ...[]byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte(magic), 1), bytes.Join(commands, nil)...)
}

func TestCandidates(t *testing.T) {
	const mkfile, unlink, updateExtent = 3, 11, 22
	whole := stream(
		command(cmdSnapshot, attrPath, "diff-1", 1, "0123456789abcdef"),
		command(mkfile, attrPath, "o260-8-0", 3, "\x04\x01\x00\x00\x00\x00\x00\x00"),
		command(cmdRename, attrPath, "o260-8-0", attrPathTo, "etc/new"),
		command(cmdUtimes, attrPath, "etc"),
		command(unlink, attrPath, "etc/motd"),
		command(updateExtent, attrPath, "big", 18, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		command(cmdEnd),
	)
	got, err := Candidates(bytes.NewReader(whole))
	want := []string{"/o260-8-0", "/o260-8-0/", "/etc/new/", "/etc/motd", "/big"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for cut := range len(whole) {
		if paths, err := Candidates(bytes.NewReader(whole[:cut])); err == nil {
			t.Fatalf("cut after %d bytes: %q, and no error", cut, paths)
		}
	}
	for name, wrong := range map[string][]byte{
		"not a header of version 1": append([]byte(magic), 9, 0, 0, 0),
		"no header":                 []byte("something else entirely"),
		"bytes":                     stream([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0}),
	} {
		if _, err := Candidates(bytes.NewReader(wrong)); err == nil || !strings.Contains(err.Error(), "send stream") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCandidates(f *testing.F) {
	f.Add(stream(command(9, attrPath, "a", attrPathTo, "b"), command(cmdEnd)))
	f.Add(stream(command(22, attrPath, "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		paths, err := Candidates(io.LimitReader(bytes.NewReader(data), 1<<20))
		if err == nil && !bytes.Contains(data, []byte(magic)) {
			t.Errorf("%q from no stream", paths)
		}
		for _, p := range paths {
			if p[0] != '/' {
				t.Errorf("%q is not absolute", p)
			}
		}
	})
}
