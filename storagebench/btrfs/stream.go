package btrfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The stream that btrfs-send(8) makes, Documentation/dev/dev-send-stream.rst of
// btrfs-progs and fs/btrfs/send.h: a header, and commands of attributes, little
// endian throughout.
const (
	magic        = "btrfs-stream\x00"
	cmdSubvol    = 1
	cmdSnapshot  = 2
	cmdRename    = 9
	cmdUtimes    = 20
	cmdEnd       = 21
	attrPath     = 15
	attrPathTo   = 16
	commandBytes = 4 + 2 + 4 // length, command, checksum
	longest      = 64 << 20  // of a command: without data far less
)

// Candidates reads a stream that was made without data, and gives the paths of
// all that differs, and some more: commands speak of names as they are when the
// receiver is there, some of which last for a few commands only. A path that
// was renamed, or is the new name, ends in a slash: what is below it has moved
// without a word, see tree.ComparePaths. Of a file of several names one may be
// there only.
//
// Nothing else need be known of the order of commands: whatever has another
// path at the end than in the beginning is, or is below, something that was
// renamed. The topmost such directory is renamed from its first, and to its
// last, path.
func Candidates(stream io.Reader) ([]string, error) {
	r := bufio.NewReaderSize(stream, 64<<10)
	header := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("send stream: header: %w", unexpected(err))
	}
	version := binary.LittleEndian.Uint32(header[len(magic):])
	if string(header[:len(magic)]) != magic || version != 1 {
		return nil, fmt.Errorf("send stream: %q is no header of version 1", header)
	}
	var paths []string
	for {
		var head [commandBytes]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, fmt.Errorf("send stream: command: %w", unexpected(err))
		}
		length := binary.LittleEndian.Uint32(head[:])
		if length > longest {
			return nil, fmt.Errorf("send stream: a command of %d bytes", length)
		}
		body, err := io.ReadAll(io.LimitReader(r, int64(length)))
		if err == nil && len(body) < int(length) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("send stream: command of %d bytes: %w", length, err)
		}
		command := binary.LittleEndian.Uint16(head[4:])
		if command == cmdEnd {
			return paths, nil
		}
		more, err := named(command, body)
		if err != nil {
			return nil, fmt.Errorf("send stream: command %d: %w", command, err)
		}
		paths = append(paths, more...)
	}
}

// named are the paths of a command.
func named(command uint16, body []byte) (paths []string, err error) {
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		attr, length := binary.LittleEndian.Uint16(body), int(binary.LittleEndian.Uint16(body[2:]))
		body = body[4:]
		if len(body) < length {
			return nil, io.ErrUnexpectedEOF
		}
		value := body[:length]
		body = body[length:]
		if attr != attrPath && attr != attrPathTo {
			continue
		}
		switch command {
		case cmdSubvol, cmdSnapshot: // the subvolume's own name
		case cmdUtimes: // times are nothing that a clone has otherwise
		case cmdRename:
			paths = append(paths, "/"+string(value)+"/")
		default:
			paths = append(paths, "/"+string(value))
		}
	}
	return paths, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
