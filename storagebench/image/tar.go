package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"plimsoll/storagebench"
)

// Tar is an image of one layer, an archive that may be compressed with gzip or
// zstd: what "docker export" writes.
func Tar(path string) (storagebench.Image, error) {
	r, err := decompressed(path)
	if err != nil {
		return storagebench.Image{}, err
	}
	_, err = tar.NewReader(r).Next()
	r.Close()
	if err != nil && err != io.EOF {
		return storagebench.Image{}, fmt.Errorf("image %s is no tar archive: %w", path, err)
	}
	return storagebench.Image{
		Name:   "tar:" + path,
		Layers: []storagebench.Layer{{Open: func() (io.ReadCloser, error) { return decompressed(path) }}},
	}, nil
}

// decompressed opens a file that may be compressed: its first bytes tell
// (RFC 1952, 2.3.1; RFC 8878, 3.1.1).
func decompressed(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	buffered := bufio.NewReaderSize(file, 256<<10)
	magic, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		file.Close()
		return nil, fmt.Errorf("image: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("image %s: %w", path, err)
		}
		return &stacked{z, func() error { z.Close(); return file.Close() }}, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered)
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("image %s: %w", path, err)
		}
		return &stacked{z, func() error { z.Close(); return file.Close() }}, nil
	}
	return &stacked{buffered, file.Close}, nil
}

// stacked reads from one thing and closes what is below it.
type stacked struct {
	io.Reader
	close func() error
}

func (s *stacked) Close() error { return s.close() }
