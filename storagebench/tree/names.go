package tree

import (
	"fmt"
	"path"
	"strings"
)

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	metaPrefix     = ".wh..wh." // aufs's own files, in images that it made
)

// cleanName is the path of an archive's entry relative to the root, "." for
// the root. An absolute name is taken to begin at the root, as tar does. A
// name that goes upward is refused: no tool that makes images writes one.
func cleanName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("its name goes upward")
		}
	}
	return path.Clean("/" + name)[1:], nil
}

// An entryKind is what an entry's name says about it.
type entryKind int

const (
	ordinary entryKind = iota
	whiteout           // target is what it hides
	opaque             // target is the directory
	meta               // to be left out
)

// classify tells whiteouts from files. Names are clean.
func classify(name string) (kind entryKind, target string, err error) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, metaPrefix) {
			return meta, "", nil
		}
		if strings.HasPrefix(part, whiteoutPrefix) {
			return 0, "", fmt.Errorf("it is below a whiteout")
		}
	}
	hidden, isWhiteout := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case !isWhiteout:
		return ordinary, name, nil
	case base == opaqueName:
		return opaque, dir, nil
	case strings.HasPrefix(base, metaPrefix):
		return meta, "", nil
	case hidden == "" || hidden == "." || hidden == "..":
		return 0, "", fmt.Errorf("a whiteout of %q", hidden)
	}
	return whiteout, path.Join(dir, hidden), nil
}
