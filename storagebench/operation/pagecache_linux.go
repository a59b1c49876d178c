package operation

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
)

// PageCacheOptions say what is read.
type PageCacheOptions struct {
	Size   int64 // bytes of the file: the image must have one of just that size
	Clones int   // that read it one after the other, at least 2
}

// PageCache has clones read the same file of the image, which is not in memory
// at first, one after the other; then the same through mappings, which need not
// share what read(2) does: their metrics begin with "mapped_".
//
//	page_cache_per_clone   B  memory that the page cache (and ZFS's ARC) took for each clone after the first
//	memory_per_clone       B  what less was free on the host: with what a daemon or a loop device keeps, and with what others do
//	device_read_per_clone  B  read from the device for each clone after the first
func PageCache(ctx context.Context, t Target, o PageCacheOptions) (made []Measurement, err error) {
	if o.Clones < 2 {
		return nil, fmt.Errorf("page cache: %d clones are too few to tell what each after the first takes", o.Clones)
	}
	err = t.withClones(ctx, "page-cache", o.Clones, func(roots []string) error {
		first, err := largeFile(ctx, roots[0], o.Size)
		if err != nil {
			return err
		}
		files := make([]file, len(roots))
		for i, root := range roots {
			files[i] = file{root + strings.TrimPrefix(first.path, roots[0]), first.size}
		}
		buffer := make([]byte, 1<<20)
		for _, way := range []struct {
			prefix string
			mapped bool
			read   func(file) error
		}{
			{"", false, func(f file) error { return readAll(f.path, unix.FADV_NORMAL, buffer) }},
			{"mapped_", true, func(f file) error { return mapAll(f.path, f.size) }},
		} {
			g, err := t.readers(ctx, files, way.read)
			if err != nil {
				return err
			}
			if err := t.shares(first.size, way.mapped, g); err != nil {
				return err
			}
			made = append(made, g.measurements(way.prefix)...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("page cache: %w", err)
	}
	return made, nil
}

// growth is what each reader after the first cost, in bytes.
type growth struct {
	cache  int64
	memory int64
	device int64 // -1 where nobody can tell
}

func (g growth) measurements(prefix string) []Measurement {
	made := []Measurement{
		bytes(prefix+"page_cache_per_clone", g.cache),
		bytes(prefix+"memory_per_clone", g.memory),
	}
	if g.device >= 0 {
		made = append(made, bytes(prefix+"device_read_per_clone", g.device))
	}
	return made
}

// readers reads the files one after the other, none of which is in memory at
// first.
func (t Target) readers(ctx context.Context, files []file, read func(file) error) (growth, error) {
	if err := t.prepare(ctx, files, true); err != nil {
		return growth{}, err
	}
	one := func(f file) (cached int64, err error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		// Pages that are there before this clone's first look are another's.
		before, err := resident(f.path)
		if err != nil {
			return 0, err
		}
		if err := read(f); err != nil {
			return 0, err
		}
		after, err := resident(f.path)
		return after - before, err
	}
	if _, err := one(files[0]); err != nil {
		return growth{}, err
	}
	var g growth
	took, err := t.during(ctx, func() error {
		before, err := readMemory(t.Info)
		if err != nil {
			return err
		}
		for _, f := range files[1:] {
			n, err := one(f)
			if err != nil {
				return err
			}
			g.cache += n
		}
		after, err := readMemory(t.Info)
		g.cache += after.arc - before.arc
		g.memory = before.free - after.free
		return err
	})
	if err != nil {
		return growth{}, err
	}
	n := int64(len(files) - 1)
	g.cache, g.memory, g.device = max(0, g.cache)/n, max(0, g.memory)/n, took.read
	if took.read > 0 {
		g.device = took.read / n
	}
	return g, nil
}

// shares asserts that clones keep a file in memory once, or each for itself, as
// the backend says.
func (t Target) shares(size int64, mapped bool, g growth) error {
	shares := t.Info.SharesCache
	if strings.HasPrefix(t.Info.Version, "OpenZFS") {
		shares = !mapped // what is read is in the ARC alone, by block; what is mapped in the page cache, by file
	}
	switch {
	case shares && g.cache > size/8:
		return fmt.Errorf("%s says that clones share what they read, and each took %d bytes of memory for a file of %d", t.Info.Name, g.cache, size)
	case !shares && g.cache < size-size/8:
		return fmt.Errorf("%s says that each clone reads for itself, and each took %d bytes of memory for a file of %d", t.Info.Name, g.cache, size)
	}
	return nil
}

// memory is the host's, in bytes.
type memory struct{ free, arc int64 }

// readMemory: proc_meminfo(5), and OpenZFS's arcstats for a backend that has an
// ARC in the kernel: that of zfs-fuse is its daemon's memory.
func readMemory(info storagebench.Info) (memory, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return memory{}, err
	}
	// Not MemAvailable: a clean page of the cache is still available.
	kib, err := field(string(text), "MemFree:", 1)
	if err != nil {
		return memory{}, fmt.Errorf("/proc/meminfo: %w", err)
	}
	m := memory{free: kib << 10}
	if info.Name != "zfs" {
		return m, nil
	}
	const arcstats = "/proc/spl/kstat/zfs/arcstats"
	if text, err = os.ReadFile(arcstats); os.IsNotExist(err) {
		return m, nil
	} else if err != nil {
		return m, err
	}
	if m.arc, err = field(string(text), "size", 2); err != nil {
		return m, fmt.Errorf("%s: %w", arcstats, err)
	}
	return m, nil
}

// field gives the number in a column of the line whose first column is name.
func field(text, name string, column int) (int64, error) {
	for line := range strings.Lines(text) {
		if columns := strings.Fields(line); len(columns) > column && columns[0] == name {
			return strconv.ParseInt(columns[column], 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no line %s with a number", name)
}
