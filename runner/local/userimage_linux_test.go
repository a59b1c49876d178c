package local

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
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

	"plimsoll/runner"
)

// archive makes a layer; a header without a mode gets one.
func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte{'x'}, int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// awkward is an image with what synthetic ones do not have, and no file that
// is large: set-user-id, capabilities, a FIFO, a device, a link where
// containers have a directory, whiteouts, odd names.
func awkward(t *testing.T) (lower, upper []byte) {
	base := []tar.Header{
		{Name: "bin/su", Size: 900, Mode: 0o4755}, {Name: "bin/again", Typeflag: tar.TypeLink, Linkname: "bin/su"},
		{Name: "bin/ping", Size: 700, PAXRecords: map[string]string{
			"SCHILY.xattr.user.note":           "n",
			"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}},
		{Name: "run/fifo", Typeflag: tar.TypeFifo}, {Name: "run/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		{Name: "data", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, {Name: "lib/none", Typeflag: tar.TypeSymlink, Linkname: "../../../none"},
		{Name: "odd/new\nline *\xff", Size: 20}, {Name: "odd/" + strings.Repeat("n", 255), Size: 20},
		{Name: "opaque/old", Size: 10}, {Name: "gone/file", Size: 10}, {Name: "turns/file", Size: 10},
	}
	for i := range 40 {
		base = append(base, tar.Header{Name: "lib/" + strings.Repeat("d/", i%5) + fmt.Sprint("f", i), Size: int64(100 + 50*i)})
	}
	return archive(t, base...), archive(t,
		tar.Header{Name: "opaque/.wh..wh..opq"}, tar.Header{Name: "opaque/new", Size: 30}, tar.Header{Name: ".wh.gone"},
		tar.Header{Name: "turns", Size: 40}, tar.Header{Name: "lib/.wh.f0"})
}

// TestUsersImages has all workloads work on an image of the user's, from
// wherever it comes.
func TestUsersImages(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	lower, upper := awkward(t)
	img := empty.Image
	for _, layer := range [][]byte{lower, upper} {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	tag, err := name.NewTag(host + "/me/awkward:1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		remote.Write(tag, img),
		tarball.WriteToFile(at("saved.tar"), tag, img),
		os.WriteFile(at("layer.tar"), lower, 0o644),
		writeLayout(at("layout"), img),
		os.MkdirAll(at("tree/sub"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		if err := os.WriteFile(at("tree/sub/")+string(rune('A'+i)), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range []string{"registry:" + tag.Name(), "docker-archive:" + at("saved.tar"), "oci:" + at("layout"), "tar:" + at("layer.tar"), "dir:" + at("tree")} {
		form, _, _ := strings.Cut(source, ":")
		t.Run(form, func(t *testing.T) {
			storages := "[overlay]"
			if form == "oci" { // one form on every kind
				storages = "[overlay, btrfs, loop-ext4, vfs]"
			}
			e := open(t, profile(t, `
rounds: 1
factors:
  workload: [import, provision, small_change, churn, diff, large_change]
  runtime: [bare]
  storage: `+storages+`
pools: {size: 640MiB, image: '`+source+`'}
workloads:
  import: {params: {layers: [1, 8]}}
  small_change: {params: {changes: [10]}}
  churn: {params: {changes: [10]}}
  diff: {params: {changes: [9, 5000]}}
  large_change: {params: {file: [8MiB]}}
`))
			if form == "registry" {
				server.Close() // it was fetched, once and for all
			}
			for key, o := range runAll(t, e) {
				if key.Param("layers") == "1" || key.Param("changes") == "5000" {
					t.Errorf("%s ran: the image is not as this says", key)
				}
				if len(o.Samples) == 0 {
					t.Errorf("%s: no sample", key)
				}
			}
			if digest := e.Levels()["image"][source]["digest"]; (digest != "") != (form != "dir" && form != "tar") {
				t.Errorf("digest %q", digest)
			}
		})
	}
}

func writeLayout(dir string, img v1.Image) error {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(img)
}

// TestUsersImageThatIsWrong is refused before anything is built.
func TestUsersImageThatIsWrong(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	dir := t.TempDir()
	lower, _ := awkward(t)
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(lower)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	oci := filepath.Join(dir, "layout")
	if err := writeLayout(oci, img); err != nil {
		t.Fatal(err)
	}
	digest, err := layer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(oci, "blobs/sha256", digest.Hex)
	other, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive(t, tar.Header{Name: "another"}))), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	content, err := other.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, forged, 0o644); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{
		"dir:" + dir + "/none": "no such file",
		"tar:" + dir + "/none": "no such file",
		"oci:" + oci + ":none": "none of this tag",
		"oci:" + oci:           "what was read is sha256:",
		"tar:" + write("noise", bytes.Repeat([]byte("noise"), 500)):              "no tar archive",
		"tar:" + write("short", lower[:1000]):                                    "unexpected EOF",
		"tar:" + write("empty", archive(t)):                                      "holds no file",
		"tar:" + write("up", archive(t, tar.Header{Name: "../../out", Size: 1})): `"../../out"`,
		"tar:" + write("through", archive(t, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: dir}, tar.Header{Name: "l/out", Size: 1})): `"l/out"`,
		"docker-archive:" + write("layer", lower): "docker save",
		"registry:127.0.0.1:1/none":               "connection refused",
	} {
		p := profile(t, "factors: {workload: [provision], storage: [vfs]}\npools: {image: '"+image+"'}\n")
		p.Factors.Dir = []string{workDirOf(t)}
		e, err := Open(t.Context(), Options{Run: "test-wrong-image", Profile: p, Self: "/proc/self/exe"})
		if e != nil {
			e.Close(t.Context())
		}
		if input := new(InputError); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", image, err, want)
		} else if !errors.As(err, &input) {
			t.Errorf("%s: %v does not say that the input is wrong", image, err)
		}
		if left, _ := filepath.Glob(p.Factors.Dir[0] + "/*"); len(left) > 0 {
			t.Errorf("%s: left behind: %v", image, left)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
		t.Error("a file was made outside of the image")
	}
}

// TestUsersImageThatHoldsLittle skips what cannot be done to it.
func TestUsersImageThatHoldsLittle(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	path := filepath.Join(t.TempDir(), "tiny.tar")
	if err := os.WriteFile(path, archive(t, tar.Header{Name: "static", Size: 2000}), 0o644); err != nil {
		t.Fatal(err)
	}
	e := open(t, profile(t, `
rounds: 1
factors: {workload: [import, provision, small_change, churn, diff], runtime: [bare], storage: [overlay, vfs]}
pools: {size: 640MiB, image: 'tar:`+path+`'}
`))
	plan, err := runner.NewPlan(e.profile, []runner.Host{e.Host(t.Context())}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	skipped := map[string]string{}
	for _, s := range plan.Skips {
		skipped[s.Key.Workload] = s.Reason + "; " + s.Fix
	}
	for workload, want := range map[string]string{
		"small_change": "has 1; --set workloads.small_change.params.changes=[1]", "diff": "has 1", "churn": "needs 400 files",
	} {
		if !strings.Contains(skipped[workload], want) {
			t.Errorf("%s: skipped as %q, want %q", workload, skipped[workload], want)
		}
	}
	for key := range runAll(t, e) {
		if key.Workload != "import" && key.Workload != "provision" {
			t.Errorf("%s ran", key)
		}
	}
}
