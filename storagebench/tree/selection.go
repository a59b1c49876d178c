package tree

import (
	"path"
	"strings"
)

// selection is what is to be looked at below a directory, by name: nil is
// everything.
type selection map[string]selection

// selected makes a tree of paths: see ComparePaths.
func selected(paths []string) selection {
	root := selection{}
	for _, p := range paths {
		deep := strings.HasSuffix(p, "/")
		if p = path.Clean("/" + p); p != "/" {
			root.add(strings.Split(p[1:], "/"), deep)
		}
	}
	return root
}

func (s selection) add(names []string, deep bool) {
	for i, name := range names {
		below, known := s[name]
		switch last := i == len(names)-1; {
		case known && below == nil:
			return // everything already
		case last && deep:
			below = nil
		case !known:
			below = selection{}
		}
		s[name] = below
		s = below
	}
}
