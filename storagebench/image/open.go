package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"plimsoll/storagebench"
)

// Forms are what Open understands, for a usage text.
const Forms = "dir:PATH, tar:PATH, oci:PATH[:TAG], docker-archive:PATH, registry:REFERENCE, synthetic[:layers=8,files=1000,size=64MiB,large=1GiB,seed=1], or a path"

// Open finds an image by what a user wrote: see Forms. A path is guessed to
// be an OCI layout, a directory, what "docker save" wrote or another archive,
// by what is there.
func Open(ctx context.Context, text string) (storagebench.Image, error) {
	form, rest, _ := strings.Cut(text, ":")
	switch form {
	case "dir":
		return Directory(rest)
	case "tar":
		return Tar(rest)
	case "oci":
		return Layout(cutTag(rest))
	case "docker-archive":
		return Archive(rest)
	case "registry":
		return Registry(ctx, rest)
	case "synthetic":
		spec, err := ParseSpec(rest)
		if err != nil {
			return storagebench.Image{}, err
		}
		return Synthetic(spec), nil
	}
	return guess(text)
}

// cutTag parts "PATH:TAG". A path may have a colon in it.
func cutTag(text string) (path, tag string) {
	if i := strings.LastIndexByte(text, ':'); i > 0 {
		if _, err := os.Stat(text); err != nil {
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

func guess(path string) (storagebench.Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image %q: %w: name an image as %s", path, err, Forms)
	}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(path, "oci-layout")); err == nil {
			return Layout(path, "")
		}
		return Directory(path)
	}
	if isDockerArchive(path) {
		return Archive(path)
	}
	return Tar(path)
}
