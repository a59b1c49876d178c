// Package runtimes starts the same program by different means: as a bare
// process, in a container of package isolate, or by a container runtime that
// is installed on the host, driven as its users drive it.
package runtimes
