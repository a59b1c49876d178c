package image

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Spec is a synthetic image. Equal Specs give equal images, to the byte, on
// every host. The zero value is a usable one: what is 0 has its default.
type Spec struct {
	Layers int     // default 8
	Files  int     // regular files that the layers add, all together; default 1000
	Size   int64   // bytes in these; default 64 MiB
	Large  []int64 // sizes of further files in the lowest layer, in bytes: see LargeFile
	Seed   uint64  // default 1
}

func (s Spec) defaults() Spec {
	if s.Layers == 0 {
		s.Layers = 8
	}
	if s.Files == 0 {
		s.Files = 1000
	}
	if s.Size == 0 {
		s.Size = 64 << 20
	}
	if s.Seed == 0 {
		s.Seed = 1
	}
	return s
}

// LargeFile is where an image has the file of this many bytes: "/large/64MiB".
func LargeFile(size int64) string { return "/large/" + formatSize(size) }

// String is what ParseSpec reads, the defaults spelled out.
func (s Spec) String() string {
	s = s.defaults()
	text := fmt.Sprintf("layers=%d,files=%d,size=%s,seed=%d", s.Layers, s.Files, formatSize(s.Size), s.Seed)
	for i, size := range s.Large {
		if i == 0 {
			text += ",large="
		} else {
			text += "+"
		}
		text += formatSize(size)
	}
	return text
}

// ParseSpec reads "layers=8,files=1000,size=64MiB,large=1MiB+1GiB,seed=1", any
// of these or none.
func ParseSpec(text string) (Spec, error) {
	var s Spec
	if text == "" {
		return s, nil
	}
	for setting := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(setting, "=")
		var err error
		switch key {
		case "layers":
			s.Layers, err = parseCount(value)
		case "files":
			s.Files, err = parseCount(value)
		case "size":
			s.Size, err = parseSize(value)
		case "large":
			for size := range strings.SplitSeq(value, "+") {
				var n int64
				if n, err = parseSize(size); err != nil {
					break
				}
				if slices.Contains(s.Large, n) {
					err = fmt.Errorf("%s twice", formatSize(n))
					break
				}
				s.Large = append(s.Large, n)
			}
		case "seed":
			s.Seed, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("there is layers, files, size, large and seed")
		}
		if err != nil {
			return Spec{}, fmt.Errorf("synthetic image: %q: %w", setting, err)
		}
	}
	return s, nil
}

// parseCount reads a number from 1 to a million.
func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1e6 {
		return 0, fmt.Errorf("%q is not a number from 1 to 1000000", text)
	}
	return n, nil
}

var units = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func formatSize(size int64) string {
	for _, unit := range units {
		if size >= unit.bytes && size%unit.bytes == 0 {
			return strconv.FormatInt(size/unit.bytes, 10) + unit.name
		}
	}
	return "0B"
}

func parseSize(text string) (int64, error) {
	number, factor := text, int64(1)
	for _, unit := range units {
		if before, ok := strings.CutSuffix(text, unit.name); ok {
			number, factor = before, unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > 1<<50/factor {
		return 0, fmt.Errorf("%q is not a size in B, KiB, MiB, GiB or TiB", text)
	}
	return n * factor, nil
}
