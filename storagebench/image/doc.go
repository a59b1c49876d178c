// Package image finds images: layered root file systems.
package image
