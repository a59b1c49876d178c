package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"plimsoll/storagebench"
)

// platform is that of images with several: this processor's.
var platform = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

// refName is how an OCI layout names its images (OCI image specification,
// annotations.md).
const refName = "org.opencontainers.image.ref.name"

// Archive is what "docker save" wrote, of whatever version, compressed or not.
func Archive(path string) (storagebench.Image, error) {
	img, err := tarball.Image(func() (io.ReadCloser, error) { return decompressed(path) }, nil)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image %s: %w: it must be what docker save writes of one image", path, err)
	}
	return layered("docker-archive:"+path, img)
}

func isDockerArchive(path string) bool {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return decompressed(path) })
	return err == nil && len(manifest) > 0
}

// Layout is an image of an OCI image layout, a directory. tag may be "" where
// it has one image for this processor.
func Layout(path, tag string) (storagebench.Image, error) {
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image %s is no OCI layout: %w", path, err)
	}
	found, err := candidates(index, tag)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image %s: %w", path, err)
	}
	title := "oci:" + path
	if tag != "" {
		title += ":" + tag
	}
	switch {
	case len(found) == 0 && tag != "":
		return storagebench.Image{}, fmt.Errorf("image %s: it has none of this tag for %s", title, platform)
	case len(found) == 0:
		return storagebench.Image{}, fmt.Errorf("image %s: it has none for %s", title, platform)
	case len(found) > 1:
		return storagebench.Image{}, fmt.Errorf("image %s: it has %d for %s: name one of its tags, oci:%s:TAG", title, len(found), platform, path)
	}
	return layered(title, found[0])
}

// candidates lists the images of an index, and of those in it, that are for
// this platform. One that does not say what it is for is taken.
func candidates(index v1.ImageIndex, tag string) ([]v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Image
	for _, m := range manifest.Manifests {
		if tag != "" && m.Annotations[refName] != tag || m.Platform != nil && !m.Platform.Satisfies(platform) {
			continue
		}
		switch {
		case m.MediaType.IsImage():
			img, err := index.Image(m.Digest)
			if err != nil {
				return nil, err
			}
			raw, err := img.RawManifest()
			if err == nil {
				err = matches("manifest", raw, m.Digest)
			}
			if err != nil {
				return nil, err
			}
			found = append(found, img)
		case m.MediaType.IsIndex():
			inner, err := index.ImageIndex(m.Digest)
			if err != nil {
				return nil, err
			}
			more, err := candidates(inner, "")
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
	}
	return found, nil
}

// Registry fetches an image. Its layers are in files without names in
// $TMPDIR, uncompressed, as long as the image is: what is imported many times
// is fetched once.
func Registry(ctx context.Context, reference string) (storagebench.Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image registry:%s: %w", reference, err)
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image registry:%s, for %s: %w", reference, platform, err)
	}
	image, err := layered("registry:"+ref.Name(), img)
	for i := range image.Layers {
		if err == nil {
			image.Layers[i], err = spooled(image.Layers[i])
		}
	}
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image registry:%s: %w", reference, err)
	}
	return image, nil
}

// layered is an image whose layers are checked against its configuration as
// they are read.
func layered(title string, img v1.Image) (storagebench.Image, error) {
	ids, err := diffIDs(img)
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image %s: %w", title, err)
	}
	layers, err := img.Layers()
	if err != nil {
		return storagebench.Image{}, fmt.Errorf("image %s: %w", title, err)
	}
	if len(layers) == 0 {
		return storagebench.Image{}, fmt.Errorf("image %s has no layers", title)
	}
	if len(ids) != len(layers) {
		return storagebench.Image{}, fmt.Errorf("image %s: its configuration lists %d layers, and it has %d", title, len(ids), len(layers))
	}
	image := storagebench.Image{Name: title}
	for i, l := range layers {
		id := ids[i]
		image.Layers = append(image.Layers, storagebench.Layer{Digest: id.String(), Open: func() (io.ReadCloser, error) {
			r, err := l.Uncompressed()
			if err != nil {
				return nil, err
			}
			return &verified{r, sha256.New(), id.String()}, nil
		}})
	}
	return image, nil
}

// diffIDs are the digests of an image's layers, uncompressed, as its
// configuration has them. What a layer itself gives for its DiffID may have been
// computed from what is there, be it right or wrong; and a layout's configuration
// is read as it is.
func diffIDs(img v1.Image) ([]v1.Hash, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	if err := matches("configuration", raw, manifest.Config.Digest); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	return config.RootFS.DiffIDs, nil
}

func matches(what string, content []byte, want v1.Hash) error {
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(content)); got != want.String() {
		return fmt.Errorf("%s %s: what was read is %s", what, want, got)
	}
	return nil
}

// spooled keeps a layer in a file that goes when nobody has it open.
func spooled(layer storagebench.Layer) (storagebench.Layer, error) {
	file, err := os.CreateTemp("", "plimsoll-layer-")
	if err != nil {
		return layer, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return layer, err
	}
	r, err := layer.Open()
	if err != nil {
		return layer, err
	}
	size, err := io.Copy(file, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return layer, fmt.Errorf("fetch layer %s: %w", layer.Digest, err)
	}
	layer.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(file, 0, size)), nil
	}
	return layer, nil
}

// verified gives an error instead of the end of what has another digest.
type verified struct {
	io.ReadCloser
	hash hash.Hash
	want string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF {
		if got := fmt.Sprintf("sha256:%x", v.hash.Sum(nil)); !strings.EqualFold(got, v.want) {
			return n, fmt.Errorf("layer %s: what was read is %s", v.want, got)
		}
	}
	return n, err
}
