package profiles

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The levels that this version knows, in the order of reports.
var (
	Runtimes = []string{"bare", "isolate", "runc", "crun", "bwrap"}
	Storages = append([]string{"host", "bind"}, backendNames()...)
	Networks = []string{"none", "host", "bridge", "nat"}
	Caches   = []string{"warm", "cold"}
)

// Backend is a storage that is built for a run, as a pool of its own.
// (Containers can have overlay without a pool.)
type Backend struct {
	Name string
	Kind string // "union", "snapshot", "block" or "copy": how it keeps clones apart
}

// Backends lists them as storagebench.Backends does.
var Backends = []Backend{
	{"overlay", "union"}, {"overlay-metacopy", "union"}, {"overlay-volatile", "union"}, {"overlay-tmpfs", "union"},
	{"fuse-overlayfs", "union"}, {"aufs", "union"},
	{"btrfs", "snapshot"}, {"zfs", "snapshot"}, {"xfs-reflink", "snapshot"},
	{"dm-thin", "block"}, {"lvm-thin", "block"}, {"loop-ext4", "block"}, {"loop-xfs", "block"},
	{PlainCopy, "copy"},
}

// PlainCopy is the storage that all others are compared with in workloads on
// storage: a recursive copy in a plain directory.
const PlainCopy = "vfs"

func backendNames() []string {
	names := make([]string, len(Backends))
	for i, b := range Backends {
		names[i] = b.Name
	}
	return names
}

// Runtime is a level of the factor runtime.
type Runtime struct {
	Name string // what cells and reports call it
	Path string // of an OCI runtime's executable; "" for the built-in names
}

var runtimeName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// ParseRuntime reads a level of the factor runtime: a name in [Runtimes], or
// NAME=oci:PATH for an OCI runtime of the user's own.
func ParseRuntime(level string) (Runtime, error) {
	name, rest, custom := strings.Cut(level, "=")
	if !custom {
		if !slices.Contains(Runtimes, level) {
			return Runtime{}, fmt.Errorf("%s; an OCI runtime of your own is NAME=oci:PATH", unknown("runtime", level, Runtimes))
		}
		return Runtime{Name: level}, nil
	}
	path, ok := strings.CutPrefix(rest, "oci:")
	switch {
	case !ok || path == "":
		return Runtime{}, fmt.Errorf("runtime %q: an OCI runtime of your own is NAME=oci:PATH", level)
	case !runtimeName.MatchString(name):
		return Runtime{}, fmt.Errorf("runtime %q: the name before = must be letters, digits, _, . and -, and begin with a letter", level)
	case slices.Contains(Runtimes, name):
		return Runtime{}, fmt.Errorf("runtime %q: %s is built in; give yours another name", level, name)
	}
	return Runtime{Name: name, Path: path}, nil
}
