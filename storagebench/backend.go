package storagebench

import (
	"context"
	"fmt"
	"io"
)

// Kind is how a backend keeps clones apart.
type Kind string

const (
	Union    Kind = "union"    // directories laid over one another
	Snapshot Kind = "snapshot" // a file system that shares extents or blocks
	Block    Kind = "block"    // a block device for each clone, sharing blocks with the image's
	Copy     Kind = "copy"     // nothing is shared
)

// Info describes a backend.
type Info struct {
	Name string
	Kind Kind
	Help string // one line: what shares what, and how

	// Version is which of several implementations the host has, and which
	// version of it; "" where there is one, and Linux's own.
	Version string

	// Copies is what a clone has to copy before the first byte of a file of
	// the image can be changed.
	Copies Unit
	// SharesCache says that clones that read the same file of the image keep
	// it in memory once.
	SharesCache bool
	// Places says that the backend stands on files and directories of a file
	// system, and can do so on the user's: Options.Place.
	Places bool
	// NeverCold says why, where it does, files of the image cannot be taken out of
	// memory through a clone.
	NeverCold string
	// Forgets says that a crash of the host may lose clones whole: they are in
	// memory, or never synced.
	Forgets bool
	// NoSpecialFiles says that a clone can remove devices and FIFOs of the image,
	// but not change or rename them: the backend cannot copy them up.
	NoSpecialFiles bool
	// Resurfaces says that what is hidden of the image, by a layer or by a clone,
	// may be seen again after something was renamed.
	Resurfaces bool
	// LinksPart says that a file with several names may show through one of them
	// what it held before it was changed through another, made in the clone too.
	LinksPart bool
}

// Unit is how much is copied by the first change of a file.
type Unit string

const (
	File   Unit = "file"   // all of it
	Extent Unit = "extent" // one block, cluster or record of the file system or the device
	None   Unit = "none"   // nothing: the clone has copied everything already
)

// Backend is one way of providing root file systems.
type Backend interface {
	Info() Info

	// Probe finds out by trying whether Open would succeed in dir, and leaves
	// nothing there. What the host lacks is a [*Missing].
	Probe(ctx context.Context, dir string) error

	// Open builds the backend in dir, a directory that exists, is empty and is
	// the pool's alone until Close: everything that the pool makes is in it or
	// mounted below it, but for what is recorded (Options.Record). What the
	// host lacks is a [*Missing].
	Open(ctx context.Context, dir string, o Options) (Pool, error)
}

// Pool holds one image and clones of it. Its methods, but for Clone and
// Remove of different ids, are called by one goroutine at a time.
type Pool interface {
	// Import takes over the image. It is called once, before all else.
	Import(ctx context.Context, image Image) error

	// Clone makes a clone and gives its root: a mounted directory that holds
	// what the image holds, and can be written to. Root is below the pool's
	// directory. An id is letters, digits and dashes.
	Clone(ctx context.Context, id string) (root string, err error)

	// Diff lists what a clone has otherwise than the image: see [Change].
	Diff(ctx context.Context, id string) ([]Change, error)

	// Remove takes a clone away, in use or not.
	Remove(ctx context.Context, id string) error

	// Usage writes back what is dirty, and counts.
	Usage(ctx context.Context) (Usage, error)

	// Close takes away everything that the pool made, and gives an error for
	// what stayed. It can be called in any state, also when the device below
	// is gone, and more than once.
	Close() error
}

// Options say how a pool is made. The zero value is a usable one.
type Options struct {
	// Size is that of the sparse file below the pool, in bytes: the most that
	// image and clones may hold. 0 is DefaultSize.
	Size int64

	// Device is a block device to build on instead of a loop device on a
	// sparse file. What it holds is overwritten: whether it may be is asked
	// before (block.NewClaim).
	Device string

	// Place says that a backend that can (Info.Places) uses the pool's directory as it
	// is, instead of a file system of its own on a sparse file: what the user
	// wants to know is how that directory does, and its device's counters
	// count what others do too.
	Place bool

	// Name begins the names of what is global on the host: ZFS pools, volume
	// groups, device-mapper targets. "" is "plimsoll-" and the process's id.
	Name string

	// Record is called before anything is made that neither the kernel's
	// reference counting nor removing the pool's directory with all its mounts
	// takes away; Undo takes it away after a kill. nil records nothing.
	Record func(Resource) error
}

// DefaultSize is sparse: what is not written takes no space.
const DefaultSize = 8 << 30

// Resource is something global on the host.
type Resource struct {
	Kind string `json:"kind"` // "zpool", "vg", "dm"
	Name string `json:"name"`
}

// Usage is what a pool takes of the host.
type Usage struct {
	Used    int64 // bytes allocated by image and clones, metadata included
	Free    int64 // bytes left, -1 where nobody can tell
	Written int64 // bytes written to the device below since it was there
	Read    int64 // bytes read from it
}

// Image is what is imported: layers, the lowest first.
type Image struct {
	Name   string // for people
	Layers []Layer
}

// Layer is one changeset of an image: an uncompressed tar archive as the OCI
// image specification describes it, with whiteouts (".wh.NAME", ".wh..wh..opq").
type Layer struct {
	Digest string // "sha256:" and the hash of the archive, or "" where unknown
	Open   func() (io.ReadCloser, error)
}

// Missing says what the host lacks for a backend.
type Missing struct {
	Backend string
	Reason  string // "mkfs.btrfs: not found"
	Fix     string // "apt-get install btrfs-progs"; "" where there is none
}

func (m *Missing) Error() string {
	text := fmt.Sprintf("%s: %s", m.Backend, m.Reason)
	if m.Fix != "" {
		text += " (" + m.Fix + ")"
	}
	return text
}
