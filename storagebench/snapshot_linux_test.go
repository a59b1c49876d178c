package storagebench_test

import (
	"testing"

	"plimsoll/storagebench"
	"plimsoll/storagebench/backendtest"
)

func TestBtrfs(t *testing.T)      { backendtest.Run(t, storagebench.Btrfs{}) }
func TestZFS(t *testing.T)        { backendtest.Run(t, storagebench.ZFS{}) }
func TestXFSReflink(t *testing.T) { backendtest.Run(t, storagebench.XFSReflink{}) }
func TestLoopExt4(t *testing.T)   { backendtest.Run(t, storagebench.LoopExt4) }
func TestLoopXFS(t *testing.T)    { backendtest.Run(t, storagebench.LoopXFS) }
