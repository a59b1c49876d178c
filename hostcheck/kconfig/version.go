// Package kconfig reads a Linux kernel's configuration and says which of the
// options that container hosts need it has. It is pure: it runs anywhere, on
// any kernel's configuration.
package kconfig

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a kernel release's number. The zero Version is unknown.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads the number a release begins with: "6.1.0-28-amd64" is
// 6.1.0. What follows it is ignored.
func ParseVersion(release string) (Version, error) {
	var n [3]int
	rest := release
	for i := range n {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		v, err := strconv.Atoi(rest[:digits])
		if err != nil {
			if i == 2 {
				break // "7.0-rc1", "6.12+"
			}
			return Version{}, fmt.Errorf("kernel release %q: no number of the form 6.12.3", release)
		}
		n[i] = v
		rest = rest[digits:]
		if !strings.HasPrefix(rest, ".") {
			if i == 0 {
				return Version{}, fmt.Errorf("kernel release %q: no number of the form 6.12.3", release)
			}
			break
		}
		rest = rest[1:]
	}
	return Version{n[0], n[1], n[2]}, nil
}

// Known reports whether v is a version.
func (v Version) Known() bool { return v != Version{} }

// Before compares major and minor numbers, then patch levels.
func (v Version) Before(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

// AtLeast reports whether v is major.minor or later.
func (v Version) AtLeast(major, minor int) bool {
	return !v.Before(Version{major, minor, 0})
}

func (v Version) String() string {
	if !v.Known() {
		return "unknown"
	}
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}
