package storagebench_test

import (
	"testing"

	"plimsoll/storagebench"
	"plimsoll/storagebench/backendtest"
)

func TestDMThin(t *testing.T)  { backendtest.Run(t, storagebench.DMThin{}) }
func TestLVMThin(t *testing.T) { backendtest.Run(t, storagebench.LVMThin{}) }
