package tree

// Whiteouts says what becomes of a layer's whiteouts: of ".wh.NAME", which
// says that NAME of the layers below is gone, and of ".wh..wh..opq", which
// says that all of a directory is but for what the layer itself has there
// (OCI image specification, layer.md, "Whiteouts").
type Whiteouts int

const (
	// Apply deletes what is there: layers are unpacked over one another.
	Apply Whiteouts = iota
	// Overlay makes what overlayfs takes for them, a character device 0/0 and
	// trusted.overlay.opaque: each layer is unpacked into a directory of its own
	// (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
	Overlay
	// OverlayUser is Overlay for a mount with -o userxattr: user.overlay.opaque.
	OverlayUser
	// AUFS keeps the files as they are: aufs understands them, their names are its own.
	AUFS
)

// opaque is the extended attribute of a directory that hides those below it.
func (w Whiteouts) opaque() string {
	switch w {
	case Overlay:
		return "trusted.overlay.opaque"
	case OverlayUser:
		return "user.overlay.opaque"
	}
	return ""
}
