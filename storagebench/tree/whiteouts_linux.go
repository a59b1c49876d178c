package tree

import (
	"path"

	"golang.org/x/sys/unix"
)

// hide makes a name of the layers below disappear. What this layer has under
// the name stays, wherever in the archive the whiteout stands.
func (u *unpacker) hide(name string) error {
	if u.whiteouts == Apply {
		return u.clear(name)
	}
	st, err := u.stat(name)
	switch {
	case missing(err):
		if err := u.mkdirs(name); err != nil {
			return err
		}
		fd, base, err := u.at(name)
		if err != nil {
			return err
		}
		return unix.Mknodat(fd, base, unix.S_IFCHR, 0)
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return u.setOpaque(name)
	}
	return nil
}

// hideBelow does so for all that a directory of the layers below holds.
func (u *unpacker) hideBelow(name string) error {
	if u.whiteouts == Apply {
		return u.clearBelow(name)
	}
	if _, err := u.stat(name); missing(err) {
		if err := u.mkdirs(path.Join(name, "any")); err != nil {
			return err
		}
	}
	return u.setOpaque(name)
}

// clear removes name and all below it that is not of this layer.
func (u *unpacker) clear(name string) error {
	if !u.layer[name] {
		return u.remove(name)
	}
	return u.clearBelow(name)
}

func (u *unpacker) clearBelow(name string) error {
	children, err := u.children(name)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := u.clear(path.Join(name, child)); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) setOpaque(name string) error {
	fd, base, err := u.at(name)
	if err != nil {
		return err
	}
	return unix.Lsetxattr(entry(fd, base), u.whiteouts.opaque(), []byte("y"), 0)
}

// isWhiteout recognises what hide made.
func (u *unpacker) isWhiteout(st unix.Stat_t) bool {
	return u.whiteouts.opaque() != "" && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}
