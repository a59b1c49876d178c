// Package panics has a test that panics and one that never comes.
package panics

import "testing"

func TestPanic(t *testing.T) { panic("on purpose") }

func TestNeverReached(t *testing.T) {}
