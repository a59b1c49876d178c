// Package storagebench provides root file systems, and measures what each way
// of providing them costs.
//
// A [Backend] is one way: a union of directories, a snapshotting file system,
// a copy-on-write block device, or plain copies. Open builds it by itself, on a
// sparse file in a directory that it is given, as a [Pool]; a Pool takes one
// [Image] and gives any number of clones of it, each a directory that can be
// written to.
//
// What the packages below it are for: image makes Images from directories,
// archives, registries and from nothing; tree copies, unpacks and compares
// directories; block makes devices and file systems on them; operation
// measures; backendtest is what every backend must pass.
package storagebench
