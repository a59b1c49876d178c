// Package hangs has a test that does not end, for an ordinary user.
package hangs

import (
	"os"
	"testing"
)

func TestHang(t *testing.T) {
	if os.Getuid() != 0 {
		select {}
	}
}
