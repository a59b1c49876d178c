package cgroup

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// BenchmarkGroup is a container's share of the cost: made with three limits, read, removed.
func BenchmarkGroup(b *testing.B) {
	h, err := Detect("/")
	if err != nil || os.Geteuid() != 0 {
		b.Skip("needs root and cgroups")
	}
	r, err := h.NewRun(fmt.Sprintf("bench-%d", os.Getpid()))
	if err != nil {
		b.Skip(err)
	}
	defer r.Remove(context.Background())
	limits := Limits{CPU: 1, Memory: 64 << 20, PIDs: 100}
	b.Run("create+remove", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g, err := r.Create("c1", limits)
			if err != nil {
				b.Fatal(err)
			}
			if err := g.Remove(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	g, err := r.Create("c1", limits)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("usage", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := g.Usage(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
