package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"plimsoll/storagebench"
)

// sample is an image as builders make it: two compressed layers.
func sample(t *testing.T, architecture string) v1.Image {
	t.Helper()
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for _, layer := range Synthetic(Spec{Layers: 2, Files: 10, Size: 100_000}).Layers {
		l, err := tarball.LayerFromOpener(layer.Open, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// another is a processor that this is not.
func another() string {
	if runtime.GOARCH == "s390x" {
		return "amd64"
	}
	return "s390x"
}

// both is an index of an image for another processor, and of one for this.
func both(t *testing.T) v1.ImageIndex {
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{another(), runtime.GOARCH} {
		img := sample(t, architecture)
		if architecture != runtime.GOARCH {
			img = mutate.Annotations(img, map[string]string{"not": "this"}).(v1.Image)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	return index
}

// TestForged has each blob of a layout be another one, which is as whole.
func TestForged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(sample(t, runtime.GOARCH)); err != nil {
		t.Fatal(err)
	}
	another, err := mutate.Config(sample(t, runtime.GOARCH), v1.Config{User: "another"})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := another.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := another.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil || len(blobs) != 4 {
		t.Fatal(blobs, err)
	}
	read := func(blob string) []byte {
		content, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	var layers []string
	for _, blob := range blobs {
		if bytes.HasPrefix(read(blob), []byte{0x1f, 0x8b}) {
			layers = append(layers, blob)
		}
	}
	for _, blob := range blobs {
		right := read(blob)
		forged := read(layers[0])
		switch {
		case blob == layers[0]:
			forged = read(layers[1])
		case bytes.Contains(right, []byte(`"mediaType"`)):
			forged = manifest
		case bytes.Contains(right, []byte(`"rootfs"`)):
			forged = config
		}
		if err := os.WriteFile(blob, forged, 0o644); err != nil {
			t.Fatal(err)
		}
		image, err := Layout(dir, "")
		for _, l := range image.Layers {
			r, opened := l.Open()
			if opened != nil {
				t.Fatal(opened)
			}
			_, copied := io.Copy(io.Discard, r)
			err = errors.Join(err, copied, r.Close())
		}
		if err == nil || !strings.Contains(err.Error(), "what was read is sha256:") {
			t.Errorf("%s is another blob: %v", filepath.Base(blob), err)
		}
		if err := os.WriteFile(blob, right, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// expectSample wants the layers of sample, to the byte, each as often as it is
// opened.
func expectSample(t *testing.T, image storagebench.Image) {
	t.Helper()
	want := Synthetic(Spec{Layers: 2, Files: 10, Size: 100_000}).Layers
	if len(image.Layers) != len(want) {
		t.Fatalf("%d layers, want %d", len(image.Layers), len(want))
	}
	for i := range want {
		for range 2 {
			if got := digest(t, image.Layers[i]); got != digest(t, want[i]) || got != image.Layers[i].Digest {
				t.Errorf("layer %d is %s, and said to be %s", i, got, image.Layers[i].Digest)
			}
		}
	}
}

func opened(t *testing.T, text string) storagebench.Image {
	t.Helper()
	image, err := Open(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestOpenLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lay:out")
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(both(t), layout.WithAnnotations(map[string]string{refName: "v1"})); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{dir, "oci:" + dir, "oci:" + dir + ":v1"} {
		expectSample(t, opened(t, text))
	}
	if _, err := Open(t.Context(), "oci:"+dir+":v2"); err == nil || !strings.Contains(err.Error(), "none of this tag for linux") {
		t.Errorf("a tag that is not there: %v", err)
	}
	if err := path.AppendImage(sample(t, runtime.GOARCH), layout.WithAnnotations(map[string]string{refName: "v2"})); err != nil {
		t.Fatal(err)
	}
	expectSample(t, opened(t, "oci:"+dir+":v2"))
	if _, err := Open(t.Context(), "oci:"+dir); err == nil || !strings.Contains(err.Error(), "name one") {
		t.Errorf("two images: %v", err)
	}
}

// What docker save wrote before version 25: manifest.json and LAYER/layer.tar.
func writeOldArchive(t *testing.T, file string) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name string, content []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		w.Write(content)
	}
	img := sample(t, runtime.GOARCH)
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, layer := range Synthetic(Spec{Layers: 2, Files: 10, Size: 100_000}).Layers {
		r, err := layer.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%064x/layer.tar", i))
		add(names[i], content)
	}
	add("config.json", config)
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{"sample:1"}, "Layers": names}})
	if err != nil {
		t.Fatal(err)
	}
	add("manifest.json", manifest)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What it writes since: an OCI layout in an archive, with a manifest.json that
// names the layout's blobs.
func writeNewArchive(t *testing.T, file string) {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	img := sample(t, runtime.GOARCH)
	if err := path.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	blob := func(h v1.Hash, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return "blobs/sha256/" + h.Hex
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range layers {
		names = append(names, blob(l.Digest()))
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": blob(img.ConfigName()), "RepoTags": []string{"sample:1"}, "Layers": names}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := first(w.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// compress writes a file once more, with gzip and with zstd.
func compress(t *testing.T, file string) (gz, zst string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g, z bytes.Buffer
	gw := gzip.NewWriter(&g)
	gw.Write(content)
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	zw.Write(content)
	if err := first(gw.Close(), zw.Close(), os.WriteFile(file+".gz", g.Bytes(), 0o600), os.WriteFile(file+".zst", z.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return file + ".gz", file + ".zst"
}

func TestOpenArchive(t *testing.T) {
	for title, make := range map[string]func(*testing.T, string){
		"old": writeOldArchive,
		"new": writeNewArchive,
		"ours": func(t *testing.T, file string) {
			if err := tarball.WriteToFile(file, name.MustParseReference("sample:1"), sample(t, runtime.GOARCH)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(title, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "saved.tar")
			make(t, file)
			gz, zst := compress(t, file)
			for _, text := range []string{file, "docker-archive:" + file, gz, zst} {
				expectSample(t, opened(t, text))
			}
		})
	}
}

func TestOpenTar(t *testing.T) {
	layer := Synthetic(Spec{Layers: 1, Files: 3, Size: 1000}).Layers[0]
	r, err := layer.Open()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "root.tar")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	gz, zst := compress(t, file)
	for _, text := range []string{file, "tar:" + file, gz, zst} {
		image := opened(t, text)
		if len(image.Layers) != 1 || digest(t, image.Layers[0]) != digest(t, layer) {
			t.Errorf("%s: %v", text, image)
		}
	}
}

func TestOpenRegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/some/sample:1"
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, both(t)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	image := opened(t, "registry:"+reference)
	expectSample(t, image)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) != 0 {
		t.Errorf("in TMPDIR: %v, %v", left, err)
	}
	if _, err := Open(t.Context(), "registry:"+reference+"2"); err == nil {
		t.Error("a tag that is not there was no error")
	}
	server.Close()
	expectSample(t, image) // fetched once, and no more
}

// A layer that is not what the configuration says is an error when it is read.
func TestLayersAreVerified(t *testing.T) {
	r := &verified{io.NopCloser(strings.NewReader("content")), sha256.New(), "sha256:00"}
	if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), "sha256:00") {
		t.Errorf("%v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no archive\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ text, want string }{
		{"", "name an image as"},
		{"debian:12", "registry:REFERENCE"},
		{filepath.Join(dir, "none"), "no such file"},
		{"dir:" + text, "no directory"},
		{"dir:" + text + "/x", "not a directory"},
		{"tar:" + text, "no tar archive"},
		{"tar:" + dir, "is a directory"},
		{text, "no tar archive"},
		{"docker-archive:" + text, "docker save"},
		{"oci:" + dir, "no OCI layout"},
		{"registry:UPPER CASE", "UPPER CASE"},
		{"synthetic:size=big", "not a size"},
	}
	for _, test := range tests {
		if image, err := Open(t.Context(), test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, %v, want %q", test.text, image, err, test.want)
		}
	}
	if got := opened(t, "synthetic"); got.Name != "synthetic:"+(Spec{}).String() {
		t.Errorf("synthetic is %s", got.Name)
	}
}

// A directory whose archive is read half leaves no goroutine and no file open.
func TestLayerClosedEarly(t *testing.T) {
	for _, image := range []storagebench.Image{Synthetic(Spec{}), opened(t, ".")} {
		before := runtime.NumGoroutine()
		for range 20 {
			r, err := image.Layers[0].Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; runtime.NumGoroutine() > before+2; i++ {
			if i > 1e6 {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
			runtime.Gosched()
		}
	}
}
