// Package backendtest is what every storage backend must pass. The test of a
// backend is one call:
//
//	func TestBtrfs(t *testing.T) { backendtest.Run(t, storagebench.Btrfs{}) }
//
// The truth that clones and their changes are compared with is a tree in
// memory, which knows nothing of file systems.
package backendtest
