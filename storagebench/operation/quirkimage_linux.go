package operation

import (
	"archive/tar"
	stdbytes "bytes"
	"fmt"
	"io"
	"strings"

	"plimsoll/storagebench"
)

// quirkFiles are in the directory of each quirk. directory/upper comes from a
// layer of its own.
var quirkFiles = map[string]string{
	"file":                 strings.Repeat("a file of the image\n", 64<<10/20),
	"one":                  "one file with two names\n",
	"two":                  "one file with two names\n",
	"capable":              "a program with a capability\n",
	"directory/lower":      "from the lower layer\n",
	"directory/below/deep": "further below\n",
	"directory/upper":      "from the upper layer\n",
}

// capability is what setcap cap_net_bind_service+ep gives a file: struct
// vfs_cap_data, <linux/capability.h>.
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// quirkImage has two layers, with a directory for each quirk.
func quirkImage() (storagebench.Image, error) {
	var dirs []string
	for _, q := range List() {
		dirs = append(dirs, q.Name)
	}
	image := storagebench.Image{Name: "quirks"}
	for _, layer := range [](func(string) []tar.Header){lowerLayer, upperLayer} {
		archive, err := pack(dirs, layer)
		if err != nil {
			return image, fmt.Errorf("pack a layer: %w", err)
		}
		image.Layers = append(image.Layers, storagebench.Layer{
			Open: func() (io.ReadCloser, error) { return io.NopCloser(stdbytes.NewReader(archive)), nil },
		})
	}
	return image, nil
}

func lowerLayer(dir string) []tar.Header {
	return []tar.Header{
		{Typeflag: tar.TypeDir, Name: dir + "/"},
		{Typeflag: tar.TypeDir, Name: dir + "/directory/"},
		{Typeflag: tar.TypeDir, Name: dir + "/directory/below/"},
		{Typeflag: tar.TypeReg, Name: dir + "/directory/below/deep"},
		{Typeflag: tar.TypeReg, Name: dir + "/directory/lower"},
		{Typeflag: tar.TypeReg, Name: dir + "/file"},
		{Typeflag: tar.TypeReg, Name: dir + "/one"},
		{Typeflag: tar.TypeLink, Name: dir + "/two", Linkname: dir + "/one"},
		{Typeflag: tar.TypeSymlink, Name: dir + "/symlink", Linkname: "file"},
		{Typeflag: tar.TypeFifo, Name: dir + "/fifo"},
		{Typeflag: tar.TypeReg, Name: dir + "/capable", PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}},
	}
}

func upperLayer(dir string) []tar.Header {
	return []tar.Header{
		{Typeflag: tar.TypeDir, Name: dir + "/"},
		{Typeflag: tar.TypeDir, Name: dir + "/directory/"},
		{Typeflag: tar.TypeReg, Name: dir + "/directory/upper"},
	}
}

func pack(dirs []string, layer func(dir string) []tar.Header) ([]byte, error) {
	var archive stdbytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range dirs {
		for _, h := range layer(dir) {
			content := ""
			h.Mode = 0o755
			if h.Typeflag == tar.TypeReg {
				h.Mode = 0o644
				content = quirkFiles[strings.TrimPrefix(h.Name, dir+"/")]
				h.Size = int64(len(content))
			}
			if err := w.WriteHeader(&h); err != nil {
				return nil, err
			}
			if _, err := io.WriteString(w, content); err != nil {
				return nil, err
			}
		}
	}
	err := w.Close()
	return archive.Bytes(), err
}
