package tree

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// inherit gives directories that the archive needs and does not list, the root
// first of all, what they have in the layers below, the topmost first: seen
// through a union, this layer's cover theirs.
func (u *unpacker) inherit(below []string) error {
	for _, name := range append([]string{""}, u.made...) {
		if u.dirs[name] != nil {
			continue
		}
		for _, dir := range below {
			found, err := u.inheritFrom(dir, name)
			if err != nil {
				return fmt.Errorf("directory %q, as in %s: %w", name, dir, err)
			}
			if found {
				break
			}
		}
	}
	return nil
}

// inheritFrom says whether it found the directory, or that it is hidden there.
func (u *unpacker) inheritFrom(dir, name string) (bool, error) {
	r, err := openRoot(dir)
	if err != nil {
		return false, err
	}
	defer r.close()
	st, err := r.stat(name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.ENOTDIR), err == nil && !isType(&st, unix.S_IFDIR):
		return true, nil
	case err != nil:
		return false, err
	}
	from, fromBase, err := r.at(name)
	if err != nil {
		return false, err
	}
	to, toBase, err := u.at(name)
	if missing(err) {
		return true, nil // a later entry took its place
	} else if err != nil {
		return false, err
	}
	if st, err = u.stat(name); err != nil || !isType(&st, unix.S_IFDIR) {
		return true, nil
	}
	return true, Attributes(entry(to, toBase), entry(from, fromBase))
}
