package image

import (
	"archive/tar"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/storagebench"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", file, diff)
	}
}

func digest(t *testing.T, layer storagebench.Layer) string {
	t.Helper()
	r, err := layer.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", hash.Sum(nil))
}

func TestSyntheticToTheByte(t *testing.T) {
	var b strings.Builder
	for _, s := range []Spec{
		{},
		{Layers: 1, Files: 1, Size: 1},
		{Layers: 3, Files: 50, Size: 1 << 20, Large: []int64{1 << 20, 3}, Seed: 7},
	} {
		image := Synthetic(s)
		fmt.Fprintln(&b, image.Name)
		for _, layer := range image.Layers {
			fmt.Fprintln(&b, "  "+digest(t, layer))
		}
	}
	golden(t, "synthetic.txt", b.String())
}

// What the default image is like, for people, and that it has everything.
func TestSyntheticHasEverything(t *testing.T) {
	kinds := map[string]int{}
	var bytes int64
	for n, layer := range Synthetic(Spec{}).Layers {
		r, err := layer.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for archive := tar.NewReader(r); ; {
			h, err := archive.Next()
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			base := filepath.Base(h.Name)
			switch {
			case base == ".wh..wh..opq":
				kinds["opaque"]++
			case strings.HasPrefix(base, ".wh."):
				kinds["whiteout"]++
			default:
				kinds[string(h.Typeflag)]++
			}
			if h.PAXRecords["SCHILY.xattr.user.origin"] != "" {
				kinds["xattr"]++
			}
			if h.Uid != 0 {
				kinds["owned"]++
			}
			if n == 0 {
				bytes += h.Size
			}
		}
	}
	for _, kind := range []string{"opaque", "whiteout", "xattr", "owned", "0", "1", "2", "5"} {
		if kinds[kind] < 7 {
			t.Errorf("%d of kind %s: %v", kinds[kind], kind, kinds)
		}
	}
	if bytes < 64<<20/32 || bytes > 64<<20/2 {
		t.Errorf("the lowest of 8 layers has %d of 64 Mi bytes", bytes)
	}
}

func TestSizesAreLogNormal(t *testing.T) {
	all := sizes(Spec{Files: 10000, Size: 1 << 30, Seed: 3})
	var sum int64
	for _, size := range all {
		sum += size
	}
	if sum != 1<<30 {
		t.Errorf("the sizes sum up to %d", sum)
	}
	slices.Sort(all)
	median, high := all[5000], all[8413] // one sigma
	if ratio := float64(high) / float64(median); ratio < 6.5 || ratio > 8.5 {
		t.Errorf("one sigma is a factor of %.2f, want e² = 7.4", ratio)
	}
	if mean := sum / 10000; mean < 6*median || mean > 9*median {
		t.Errorf("the mean is %d, the median %d, want e² = 7.4 times", mean, median)
	}
}

func TestParseSpec(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "layers=8,files=1000,size=64MiB,seed=1"},
		{"layers=2,files=3,size=5KiB,large=1MiB+1GiB,seed=9", "layers=2,files=3,size=5KiB,seed=9,large=1MiB+1GiB"},
		{"size=1000", "layers=8,files=1000,size=1000B,seed=1"},
	}
	for _, test := range tests {
		s, err := ParseSpec(test.text)
		if err != nil || s.String() != test.want {
			t.Errorf("%q: %q, %v", test.text, s, err)
		}
		if again, err := ParseSpec(s.String()); err != nil || again.String() != s.String() {
			t.Errorf("%q is read as %q, %v", s, again, err)
		}
	}
	for _, text := range []string{"layers", "layers=0", "layers=2000000", "files=x", "size=9000000TiB", "size=-1", "large=1MiB+", "large=1+1", "colour=red", ",", "seed=-1"} {
		if s, err := ParseSpec(text); err == nil {
			t.Errorf("%q is read as %q", text, s)
		}
	}
}
