package storagebench

// Backends are all there are, kind by kind. What this host lacks for one its
// Probe says.
func Backends() []Backend {
	return []Backend{
		Overlay, OverlayMetacopy, OverlayVolatile, OverlayTmpfs, FuseOverlayfs{}, AUFS{},
		Btrfs{}, ZFS{}, XFSReflink{},
		DMThin{}, LVMThin{}, LoopExt4, LoopXFS,
		VFS{},
	}
}

// Find gives the backend of that name.
func Find(name string) (Backend, bool) {
	for _, b := range Backends() {
		if b.Info().Name == name {
			return b, true
		}
	}
	return nil, false
}
