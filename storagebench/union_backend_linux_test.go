package storagebench_test

import (
	"testing"

	"plimsoll/storagebench"
	"plimsoll/storagebench/backendtest"
)

func TestOverlay(t *testing.T)         { backendtest.Run(t, storagebench.Overlay) }
func TestOverlayMetacopy(t *testing.T) { backendtest.Run(t, storagebench.OverlayMetacopy) }
func TestOverlayVolatile(t *testing.T) { backendtest.Run(t, storagebench.OverlayVolatile) }
func TestOverlayTmpfs(t *testing.T)    { backendtest.Run(t, storagebench.OverlayTmpfs) }
func TestFuseOverlayfs(t *testing.T)   { backendtest.Run(t, storagebench.FuseOverlayfs{}) }
func TestVFS(t *testing.T)             { backendtest.Run(t, storagebench.VFS{}) }
func TestAUFS(t *testing.T)            { backendtest.Run(t, storagebench.AUFS{}) }
