package isolate

import (
	"fmt"
	"testing"
)

// TestMeasureHardening takes apart what hardening adds to a start, each part
// alone and all together, interleaved with a whole container without any. The
// seccomp filter may add 150 µs.
func TestMeasureHardening(t *testing.T) {
	e, ctx := measuring(t)
	root := image(t)
	runs := 0
	whole := func() Spec {
		s, caps := sixTrue(t, root), DockerDefault
		s.Sys, s.Dev, s.Loopback, s.NoNewPrivs, s.Capabilities, s.NewSession = true, true, true, true, &caps, true
		runs++
		s.Group = fmt.Sprintf("c%d", runs)
		return s
	}
	all, err := Hardened(whole())
	if err != nil {
		t.Fatal(err)
	}
	variants := []struct {
		name         string
		change       func(*Spec)
		spec         Spec
		took, phases []float64 // µs: from request to exit, and of that in the phases that are added
	}{
		{name: "whole container", change: func(*Spec) {}},
		{name: "seccomp", change: func(s *Spec) { s.Seccomp = all.Seccomp }},
		{name: "masked paths", change: func(s *Spec) { s.MaskedPaths = all.MaskedPaths }},
		{name: "read-only paths", change: func(s *Spec) { s.ReadOnlyPaths = all.ReadOnlyPaths }},
		{name: "devices", change: func(s *Spec) { s.Limits.Devices = all.Limits.Devices }},
		{name: "all of it", change: func(s *Spec) {
			s.Seccomp, s.MaskedPaths, s.ReadOnlyPaths, s.Limits.Devices = all.Seccomp, all.MaskedPaths, all.ReadOnlyPaths, all.Limits.Devices
		}},
	}
	for i := range variants {
		variants[i].spec = whole()
		variants[i].change(&variants[i].spec)
	}
	for round := range 200 {
		for k := range variants {
			v := &variants[(k+round)%len(variants)]
			c, err := e.Create(v.spec)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(ctx); err != nil {
				t.Fatal(err)
			}
			exit, err := c.Wait(ctx)
			if err != nil || !exit.OK() {
				t.Fatal(exit, err)
			}
			v.took = append(v.took, float64(exit.At-c.Requested())/1e3)
			own := 0.0
			for i, p := range c.Phases()[:len(c.Phases())-1] {
				if p.Name == "seccomp" || p.Name == "mask paths" || p.Name == "read-only paths" {
					own += float64(c.Phases()[i+1].Begin-p.Begin) / 1e3
				}
			}
			v.phases = append(v.phases, own)
			if err := c.Remove(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, v := range variants {
		added := make([]float64, len(v.took)) // by round
		for i := range added {
			added[i] = v.took[i] - variants[0].took[i]
		}
		t.Logf("%-16s %6.0f µs, %+.0f; in its own phases %.0f", v.name, median(v.took), median(added), median(v.phases))
		if v.name == "seccomp" && median(added) > 150 {
			t.Errorf("the seccomp filter adds %.0f µs", median(added))
		}
	}
}
