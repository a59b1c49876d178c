package kconfig

import (
	"bytes"
	"errors"
	"fmt"
)

// maxImage bounds what is read of a file: kernels are some 15 MB packed, 70
// unpacked.
const maxImage = 256 << 20

// ikMagic stands before the gzipped configuration in a kernel built with
// CONFIG_IKCONFIG (kernel/configs.c).
var ikMagic = []byte("IKCFG_ST")

// ErrPacked says that a kernel is packed by a method that is not read here.
var ErrPacked = errors.New("the kernel is packed by a method that is not supported")

// isImage recognises an ELF file, an x86 boot sector with its HdrS mark, and
// arm64's Image (Documentation/arch/arm64/booting.rst).
func isImage(data []byte) bool {
	switch {
	case bytes.HasPrefix(data, []byte("\x7fELF")):
		return true
	case len(data) > 0x206 && bytes.Equal(data[0x202:0x206], []byte("HdrS")):
		return true
	case len(data) > 60 && bytes.Equal(data[56:60], []byte("ARM\x64")):
		return true
	}
	return false
}

// packers are the marks of compressed payloads (scripts/extract-vmlinux).
var packers = []struct {
	name  string
	magic []byte
}{
	{"zstd", []byte("\x28\xb5\x2f\xfd")},
	{"xz", []byte("\xfd7zXZ\x00")},
	{"lz4", []byte("\x02\x21\x4c\x18")},
	{"lzo", []byte("\x89LZO\x00")},
	{"lzma", []byte("\x5d\x00\x00\x00\xff")},
	{"bzip2", []byte("BZh")},
}

// maxPayloads bounds the tries at what merely looks like gzip.
const maxPayloads = 4

// Extract gives the configuration that is embedded in a kernel image, packed
// with gzip or not packed.
func Extract(image []byte) ([]byte, error) {
	if text, err := embedded(image); err == nil {
		return text, nil
	}
	for at, tries := 0, 0; tries < maxPayloads; tries++ {
		i := bytes.Index(image[at:], gzipMagic)
		if i < 0 {
			break
		}
		if payload, err := gunzip(image[at+i:], maxImage); err == nil {
			if text, err := embedded(payload); err == nil {
				return text, nil
			}
		}
		at += i + 1
	}
	for _, p := range packers {
		if bytes.Contains(image, p.magic) {
			return nil, fmt.Errorf("%w (%s): run the kernel's scripts/extract-ikconfig, and give what it prints", ErrPacked, p.name)
		}
	}
	return nil, errors.New("no configuration in the kernel: it was built without CONFIG_IKCONFIG")
}

func embedded(image []byte) ([]byte, error) {
	for rest := image; ; {
		i := bytes.Index(rest, ikMagic)
		if i < 0 {
			return nil, errors.New("no IKCFG_ST mark")
		}
		rest = rest[i+len(ikMagic):]
		if bytes.HasPrefix(rest, gzipMagic) {
			return gunzip(rest, maxSize)
		}
	}
}
