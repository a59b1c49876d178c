package backendtest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
)

// layer is an archive of these; a file's content goes by its Linkname.
func layer(headers ...tar.Header) storagebench.Layer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		h.ModTime, h.Format = time.Unix(1_000_000_000, 0), tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			panic(err) // a mistake in this file
		}
		io.WriteString(w, content)
	}
	w.Close()
	return storagebench.Layer{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }}
}

func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content, Mode: 0o644}
}
func symlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}
}
func hardLink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

func with(h tar.Header, mode int64, owner int, xattrs map[string]string) tar.Header {
	h.Mode, h.Uid, h.Gid = mode, owner, owner
	h.PAXRecords = map[string]string{}
	for name, value := range xattrs {
		h.PAXRecords["SCHILY.xattr."+name] = value
	}
	return h
}

const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// fixture has one of everything, and a path for every change in the table of
// changes.
func fixture() storagebench.Image {
	big := strings.Repeat("0123456789abcdef", 20000) // 320 kB: several blocks, extents and records
	return storagebench.Image{Name: "fixture", Layers: []storagebench.Layer{
		layer(
			with(dir("."), 0o755, 0, nil),
			dir("etc"), file("etc/passwd", "root\n"), file("etc/gone", "1"), file("etc/below", "lowest"),
			dir("bin"), with(file("bin/su", "program"), 0o4755, 0, nil),
			with(file("bin/ping", "program"), 0o755, 0, map[string]string{"security.capability": capability}),
			symlink("bin/sh", "busybox"), hardLink("bin/su.hard", "bin/su"),
			with(dir("tmp"), 0o1777, 0, nil),
			with(dir("home"), 0o750, 1000, map[string]string{"user.note": "of a directory"}),
			with(file("home/file", "x"), 0o600, 1000, map[string]string{"user.note": "\x00binary", "trusted.note": "t"}),
			with(tar.Header{Typeflag: tar.TypeFifo, Name: "home/fifo"}, 0o620, 5, nil),
			with(tar.Header{Typeflag: tar.TypeChar, Name: "home/null", Devmajor: 1, Devminor: 3}, 0o666, 0, nil),
			file("big", big), file("empty", ""),
			dir("tree"), dir("tree/a"), file("tree/a/1", "1"), file("tree/a/2", "2"), dir("tree/b"), file("tree/b/3", "3"), symlink("tree/b/l", "../a"),
			dir("remade"), file("remade/old", "old"), dir("remade/dir"), file("remade/dir/old", "old"),
			dir("swap"), file("swap/x", "x"),
		),
		layer(
			dir("etc"), file("etc/.wh.gone", ""), file("etc/below", "middle"), file("etc/middle", "m"),
			dir("remade"), file("remade/.wh..wh..opq", ""), file("remade/new", "new"), dir("remade/dir"), file("remade/dir/new", "new"),
			file(".wh.swap", ""), file("odd \n\xff\\040ä name", "odd"),
		),
		layer(dir("swap"), file("swap/y", "y"), dir("tree"), dir("tree/a"), file("tree/a/2", "two"), hardLink("tree/a/2.hard", "tree/a/2")),
	}}
}

// synthetic is a small one of the kind that is measured with, size bytes.
func synthetic(seed uint64, size int64) storagebench.Image {
	return image.Synthetic(image.Spec{Layers: 4, Files: 60, Size: size, Seed: seed})
}

// deep has as many layers as are asked for; each overwrites one file, adds one
// and takes one of the layer below away.
func deep(layers int) storagebench.Image {
	img := storagebench.Image{Name: fmt.Sprintf("%d layers", layers)}
	for i := range layers {
		headers := []tar.Header{dir("d"), file("d/top", fmt.Sprint(i)), file(fmt.Sprintf("d/own%d", i), "x"), file(fmt.Sprintf("d/next%d", i), "x")}
		if i > 0 {
			headers = append(headers, file(fmt.Sprintf("d/.wh.next%d", i-1), ""))
		}
		img.Layers = append(img.Layers, layer(headers...))
	}
	return img
}
