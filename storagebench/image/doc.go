// Package image finds images, layered root file systems: in directories, tar
// archives, OCI layouts and what "docker save" writes, in registries, and, as
// the default, out of nothing. Only a registry that is named is looked for on
// the network.
package image
