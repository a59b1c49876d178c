// Package tree copies, unpacks and compares directories of files.
package tree

// Change: see storagebench.Change.
type Change struct {
	Path string
	Kind ChangeKind
}

// ChangeKind says what became of a path.
type ChangeKind string

const (
	Added    ChangeKind = "add"
	Modified ChangeKind = "modify"
	Deleted  ChangeKind = "delete"
)
