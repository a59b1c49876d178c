//go:build !linux

package image

import (
	"errors"

	"plimsoll/storagebench"
)

// Directory needs Linux.
func Directory(string) (storagebench.Image, error) {
	return storagebench.Image{}, errors.New("images of directories need Linux")
}
