package backendtest

import (
	"testing"

	"plimsoll/storagebench"
)

func Faults(t *testing.T, b storagebench.Backend) {
}
