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
	Storages = append([]string{"host", "bind", "overlay"}, Backends...)
	Networks = []string{"none", "host", "bridge", "nat"}
	Caches   = []string{"warm", "cold"}
)

// Backends are the storages that are built for a run, each as a pool of its
// own: storagebench.Backends has them. Overlay is one too; containers can have
// it without a pool.
var Backends = []string{
	"overlay-metacopy", "overlay-volatile", "overlay-tmpfs", "fuse-overlayfs", "aufs",
	"btrfs", "zfs", "xfs-reflink",
	"dm-thin", "lvm-thin", "loop-ext4", "loop-xfs",
	PlainCopy,
}

// PlainCopy is the storage that all others are compared with in workloads on
// storage: a recursive copy in a plain directory.
const PlainCopy = "vfs"

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
