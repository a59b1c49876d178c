package kconfig

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Place is a file that may hold a kernel's configuration.
type Place struct {
	Path string
	// Exact says that the path names the release, or can hold no other
	// kernel's: a header that differs in the patch level is then no concern
	// (Debian's 6.1.0-28 is Linux 6.1.119).
	Exact bool
	// Image says that it is a kernel, in which the text is embedded.
	Image bool
}

// places lists where distributions put the configuration of a release, best
// first.
func places(release string) []Place {
	return []Place{
		{Path: "/proc/config.gz", Exact: true}, // CONFIG_IKCONFIG_PROC: the running kernel's own
		{Path: "/boot/config-" + release, Exact: true},
		{Path: "/lib/modules/" + release + "/config", Exact: true},     // Fedora, openSUSE
		{Path: "/usr/lib/modules/" + release + "/config", Exact: true}, // the same after usrmerge
		{Path: "/lib/modules/" + release + "/build/.config", Exact: true},
		{Path: "/usr/lib/ostree-boot/config-" + release, Exact: true},
		{Path: "/usr/lib/kernel/config-" + release, Exact: true}, // CoreOS
		{Path: "/usr/src/linux-" + release + "/.config", Exact: true},
		{Path: "/usr/src/linux-headers-" + release + "/.config", Exact: true},
		{Path: "/boot/config.gz"},
		{Path: "/boot/config"},
		{Path: "/usr/src/linux/.config"}, // Gentoo: whatever was configured last
		{Path: "/boot/vmlinuz-" + release, Exact: true, Image: true},
		{Path: "/usr/lib/modules/" + release + "/vmlinuz", Exact: true, Image: true},
		{Path: "/boot/vmlinux-" + release, Exact: true, Image: true},
		{Path: "/boot/Image", Image: true},
		{Path: "/boot/vmlinuz", Image: true},
	}
}

// NotFoundError says where a configuration was sought, and why each file that
// was there would not do.
type NotFoundError struct {
	Release string
	Tried   []string // paths
	Refused []error  // one for each file that exists
}

func (e *NotFoundError) Error() string {
	if len(e.Refused) > 0 {
		return fmt.Sprintf("no configuration of kernel %s: %v", e.Release, errors.Join(e.Refused...))
	}
	return fmt.Sprintf("no configuration of kernel %s in %s and %d other places", e.Release, e.Tried[0], len(e.Tried)-1)
}

func (e *NotFoundError) Unwrap() []error { return e.Refused }

// Find reads the configuration of the running kernel, whose release is that
// of uname -r, from the file system under root. A file that belongs to another
// kernel is refused.
func Find(root, release string) (*Config, error) {
	running, err := ParseVersion(release)
	if err != nil {
		return nil, err
	}
	missing := &NotFoundError{Release: release}
	for _, p := range places(release) {
		missing.Tried = append(missing.Tried, p.Path)
		c, err := ReadFile(filepath.Join(root, p.Path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = belongs(c, running, p)
		}
		if err != nil {
			missing.Refused = append(missing.Refused, err)
			continue
		}
		c.Source = p.Path
		if !c.Version.Known() {
			c.Version = running
		}
		return c, nil
	}
	return nil, missing
}

// belongs checks a configuration's header against the running kernel.
func belongs(c *Config, running Version, p Place) error {
	v := c.Version
	switch {
	case !v.Known() && !p.Exact:
		return fmt.Errorf("%s: neither its name nor its header says which kernel it is of", p.Path)
	case !v.Known():
		return nil
	case v.Major != running.Major || v.Minor != running.Minor,
		!p.Exact && v.Patch != running.Patch:
		return fmt.Errorf("%s: is of Linux %v, and %v is running", p.Path, v, running)
	}
	return nil
}

// ReadFile reads a configuration from a file: plain, compressed with gzip, or
// embedded in a kernel image (CONFIG_IKCONFIG).
func ReadFile(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImage+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	c, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	c.Source = path
	return c, nil
}

// Decode reads a configuration in any of the forms of [ReadFile].
func Decode(data []byte) (*Config, error) {
	if isImage(data) {
		text, err := Extract(data)
		if err != nil {
			return nil, err
		}
		return Parse(text)
	}
	if bytes.HasPrefix(data, gzipMagic) {
		text, err := gunzip(data, maxImage)
		if err != nil {
			return nil, fmt.Errorf("it was cut short or damaged: %w", err)
		}
		if isImage(text) {
			return Decode(text)
		}
		return Parse(text)
	}
	return Parse(data)
}

var gzipMagic = []byte{0x1f, 0x8b, 0x08}

// gunzip expands data, which may be followed by something else, to at most
// limit bytes.
func gunzip(data []byte, limit int) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	text, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > limit {
		return nil, fmt.Errorf("more than %d MiB when expanded", limit>>20)
	}
	return text, nil
}

// VersionOfPath is the release in a name such as
// /boot/config-6.1.0-28-amd64; it is unknown where there is none.
func VersionOfPath(path string) Version {
	_, release, _ := strings.Cut(filepath.Base(path), "-")
	v, err := ParseVersion(release)
	if err != nil {
		return Version{}
	}
	return v
}
