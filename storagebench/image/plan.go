package image

import (
	"archive/tar"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"path"
	"slices"
	"time"
)

// What a synthetic layer has besides its own files, in relation to them:
// enough of each that no backend can do without.
const (
	overwrittenOne = 20 // in so many files, one of a layer below has other content
	deletedOne     = 50 // ... is whited out
	symlinkOne     = 20 // ... has a symbolic link to it
	hardLinkOne    = 50 // ... has a second name
	xattrOne       = 50 // ... has an extended attribute
	filesInDir     = 20
	dirsInDir      = 8
)

// The year of the talk that claimed the table this is here to check.
var made = time.Date(2014, 6, 10, 0, 0, 0, 0, time.UTC)

// An entry is one of a layer's. Its content is a random stream of its own.
type entry struct {
	header tar.Header
	stream uint64
}

// File is a regular file of an image.
type File struct {
	Path  string // absolute
	Size  int64  // bytes
	Layer int    // in which it was last written
}

// plan makes the layers' entries, and lists the files that are seen at last,
// in order of path.
func (s Spec) plan() (layers [][]entry, files []File) {
	s = s.defaults()
	p := &planner{
		rand:  rand.New(rand.NewPCG(s.Seed, 0)),
		sizes: sizes(s),
		seen:  map[string]bool{},
		taken: map[string]bool{},
	}
	done := 0
	for n := range s.Layers {
		p.layer, p.entries = n, nil
		clear(p.seen)
		if n == 0 {
			p.base(s.Large)
		}
		until := s.Files * (n + 1) / s.Layers
		p.changes(until - done)
		for ; done < until; done++ {
			p.add(done)
		}
		p.remade()
		layers = append(layers, p.entries)
	}
	for _, f := range p.files {
		if f.Path != "" {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b File) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return layers, files
}

type planner struct {
	rand   *rand.Rand
	sizes  []int64
	layer  int
	stream uint64

	entries []entry
	seen    map[string]bool // directories that this layer lists
	taken   map[string]bool // files that are the target of a hard link, or one
	files   []File          // Path is "" once it was whited out
}

func (p *planner) entry(h tar.Header) {
	h.ModTime, h.Format = made.Add(time.Duration(p.layer)*time.Hour), tar.FormatPAX
	p.stream++
	p.entries = append(p.entries, entry{h, p.stream})
}

func (p *planner) dir(name string, mode int64) {
	if !p.seen[name] {
		p.seen[name] = true
		p.entry(tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
	}
}

// dirs lists what leads to a file, as every tool that makes images does.
func (p *planner) dirs(file string) {
	if dir := path.Dir(file); dir != "." {
		p.dirs(dir)
		p.dir(dir, 0o755)
	}
}

func (p *planner) file(name string, size int64) {
	p.dirs(name)
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}
	if p.rand.IntN(4) == 0 {
		h.Mode = 0o755
	}
	if p.rand.IntN(8) == 0 {
		h.Uid, h.Gid = 1000, 1000
	}
	if p.rand.IntN(xattrOne) == 0 {
		h.PAXRecords = map[string]string{"SCHILY.xattr.user.origin": name}
	}
	p.entry(h)
}

// base is what a container needs of its root, and the large files.
func (p *planner) base(large []int64) {
	for _, name := range []string{"bin", "dev", "etc", "proc", "root", "run", "sys", "usr", "var"} {
		p.dir(name, 0o755)
	}
	p.dir("tmp", 0o1777)
	for _, size := range large {
		p.file(LargeFile(size)[1:], size)
		p.files = append(p.files, File{LargeFile(size), size, 0})
		p.taken[LargeFile(size)] = true
	}
}

// add makes the i-th file of the image.
func (p *planner) add(i int) {
	dir := p.rand.IntN(len(p.sizes)/filesInDir + 1)
	name := fmt.Sprintf("%s/f%06d", dirName(dir), i)
	p.file(name, p.sizes[i])
	p.files = append(p.files, File{"/" + name, p.sizes[i], p.layer})
	if p.rand.IntN(symlinkOne) == 0 {
		p.entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name + ".link", Linkname: path.Base(name), Mode: 0o777})
	}
	if p.rand.IntN(hardLinkOne) == 0 {
		p.entry(tar.Header{Typeflag: tar.TypeLink, Name: name + ".hard", Linkname: name, Mode: 0o644})
		p.files = append(p.files, File{"/" + name + ".hard", p.sizes[i], p.layer})
		p.taken["/"+name], p.taken["/"+name+".hard"] = true, true
	}
}

// dirName is a directory of a tree, counted breadth first.
func dirName(i int) string {
	if i == 0 {
		return "usr/share"
	}
	return fmt.Sprintf("%s/d%d", dirName((i-1)/dirsInDir), i)
}

// changes overwrites and whites out files of the layers below, as often as
// goes with so many new files, and once at least.
func (p *planner) changes(files int) {
	below := len(p.files)
	pick := func() *File {
		for range 100 { // of what is not gone, nor known by two names
			if f := &p.files[p.rand.IntN(below)]; f.Path != "" && f.Layer < p.layer && !p.taken[f.Path] {
				return f
			}
		}
		return nil
	}
	if p.layer == 0 || below == 0 {
		return
	}
	for range files/overwrittenOne + 1 {
		if f := pick(); f != nil {
			f.Layer = p.layer
			p.file(f.Path[1:], f.Size)
		}
	}
	for range files/deletedOne + 1 {
		if f := pick(); f != nil {
			dir, base := path.Split(f.Path[1:])
			f.Path = ""
			p.dirs(dir + base)
			p.entry(tar.Header{Typeflag: tar.TypeReg, Name: dir + ".wh." + base, Mode: 0o600})
		}
	}
}

// remade gives each layer a directory of its own, and makes that of the layer
// below anew: opaque.
func (p *planner) remade() {
	own := func(n int) string { return fmt.Sprintf("var/lib/layer%d", n) }
	for i := range 3 {
		p.file(fmt.Sprintf("%s/%d", own(p.layer), i), 100)
		p.files = append(p.files, File{fmt.Sprintf("/%s/%d", own(p.layer), i), 100, p.layer})
		p.taken[p.files[len(p.files)-1].Path] = true
	}
	if p.layer == 0 {
		return
	}
	below := own(p.layer - 1)
	for i := range p.files {
		if path.Dir(p.files[i].Path) == "/"+below {
			p.files[i].Path = ""
		}
	}
	p.dirs(below + "/any")
	p.entry(tar.Header{Typeflag: tar.TypeReg, Name: below + "/.wh..wh..opq", Mode: 0o600})
	p.file(below+"/new", 100)
	p.files = append(p.files, File{"/" + below + "/new", 100, p.layer})
	p.taken["/"+below+"/new"] = true
}

// sizes are log-normal, as files' are: most are small, a few hold most of the
// bytes. sigma is 2.0 (Agrawal, Bolosky, Douceur, Lorch, "A Five-Year Study of
// File-System Metadata", FAST '07: 2.46 for all of a user's files); the median
// follows from the sum. Integers only: floating point is not the same on all
// processors (Go specification, "Floating-point operators": fused).
func sizes(s Spec) []int64 {
	r := rand.New(rand.NewPCG(s.Seed, 1))
	weights := make([]uint64, s.Files)
	var sum uint64
	for i := range weights {
		// The sum of twelve uniform numbers is normal enough, with variance 1.
		// In 1/65536:
		log := int64(-6 << 16)
		for range 12 {
			log += r.Int64N(1 << 16)
		}
		log = log*29/10 + 20<<16                                       // of base 2: 2.9 is 2.0 of base e
		weights[i] = (1<<16 + uint64(log&0xffff)) << (log >> 16) >> 16 // linear between powers of two
		sum += weights[i]
	}
	sizes, left := make([]int64, s.Files), s.Size
	for i, w := range weights {
		high, low := bits.Mul64(w, uint64(s.Size))
		quotient, _ := bits.Div64(high, low, sum)
		sizes[i] = int64(quotient)
		left -= sizes[i]
	}
	sizes[0] += left
	return sizes
}
