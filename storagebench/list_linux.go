package storagebench

import "slices"

// Backends lists all, those that a host lacks included: Probe tells.
func Backends() []Backend {
	return slices.Concat(
		overlays(),
		[]Backend{
			fuseOverlayfs{},
			Btrfs{}, ZFS{}, XFSReflink{},
			DMThin{}, LVMThin{}, LoopExt4, LoopXFS,
			vfs{},
		},
	)
}

// Find gives a backend by its name.
func Find(name string) (Backend, bool) {
	all := Backends()
	i := slices.IndexFunc(all, func(b Backend) bool { return b.Info().Name == name })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}
