package image

import (
	"archive/tar"
	"encoding/binary"
	"io"
	"math/rand/v2"

	"plimsoll/storagebench"
)

// Synthetic makes an image from nothing: files of random content, which does
// not compress, and of sizes as they are found (most small, few large), in a
// tree of directories, with symbolic and hard links, owners and extended
// attributes. Each layer but the lowest overwrites, whites out and makes anew
// some of what is below it. Nothing of it is held in memory but its table of
// contents, about 300 bytes a file.
func Synthetic(s Spec) storagebench.Image {
	plan, _ := s.plan()
	layers := make([]storagebench.Layer, len(plan))
	for i, entries := range plan {
		layers[i].Open = func() (io.ReadCloser, error) {
			return written(func(w io.Writer) error { return writeLayer(w, s.defaults().Seed, entries) }), nil
		}
	}
	return storagebench.Image{Name: "synthetic:" + s.String(), Layers: layers}
}

// Shows lists the regular files that a synthetic image shows, in order of path.
func (s Spec) Shows() []File {
	_, files := s.plan()
	return files
}

// written is the reader of what a function writes, in a goroutine that ends
// when the reader is closed.
func written(write func(io.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(write(w)) }()
	return r
}

func writeLayer(w io.Writer, seed uint64, entries []entry) error {
	archive := tar.NewWriter(w)
	buffer := make([]byte, 64<<10)
	for i := range entries {
		header := entries[i].header // WriteHeader writes to it
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		random := rand.NewPCG(seed, 1<<32|entries[i].stream)
		for left := header.Size; left > 0; {
			chunk := buffer[:min(left, int64(len(buffer)))]
			fill(buffer[:(len(chunk)+7)&^7], random)
			if _, err := archive.Write(chunk); err != nil {
				return err
			}
			left -= int64(len(chunk))
		}
	}
	return archive.Close()
}

// fill writes random numbers over p, whose length is a multiple of 8.
func fill(p []byte, random *rand.PCG) {
	for ; len(p) > 0; p = p[8:] {
		binary.LittleEndian.PutUint64(p, random.Uint64())
	}
}
