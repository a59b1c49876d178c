package backendtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"plimsoll/storagebench"
)

// need skips the test where the host lacks what it is about, unless
// PLIMSOLL_REQUIRE lists it: then a lack is a failure, so that a suite that is
// meant to prove something cannot go silently empty.
func need(t *testing.T, capability string, lack error) {
	t.Helper()
	if lack == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("PLIMSOLL_REQUIRE"), ","), capability) {
		t.Fatalf("this host should have %s (PLIMSOLL_REQUIRE), and has not: %v", capability, lack)
	}
	t.Skipf("needs %s: %v", capability, lack)
}

// needBackend wants root, and what the backend says that it wants.
func needBackend(t *testing.T, b storagebench.Backend) {
	t.Helper()
	if os.Geteuid() != 0 {
		need(t, "root", errors.New("owners, devices and mounts are tested"))
	}
	dir := t.TempDir()
	err := b.Probe(t.Context(), dir)
	if left := leftIn(dir); left != nil {
		t.Errorf("Probe left %v", left)
	}
	if lack := (*storagebench.Missing)(nil); errors.As(err, &lack) {
		if lack.Backend != b.Info().Name || lack.Reason == "" {
			t.Errorf("a lack that does not say of what, or why: %#v", lack)
		}
		need(t, b.Info().Name, err)
	} else if err != nil {
		t.Fatalf("Probe: %v", err)
	}
}

// A pool that fails the test where the backend does what it should not.
type pool struct {
	storagebench.Pool
	t    *testing.T
	info storagebench.Info
	dir  string
}

// open makes a pool that is closed, and must have left nothing, when the test ends.
func open(t *testing.T, b storagebench.Backend, o storagebench.Options) *pool {
	t.Helper()
	p := &pool{t: t, info: b.Info(), dir: t.TempDir()}
	t.Cleanup(func() {
		if p.Pool != nil {
			if err := p.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if left := leftIn(p.dir); left != nil {
			t.Errorf("left behind:\n\t%s", strings.Join(left, "\n\t"))
			takeAway(p.dir) // nothing of it may meet the tests that follow
		}
	})
	opened, err := b.Open(context.WithoutCancel(t.Context()), p.dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	p.Pool = opened
	return p
}

// with takes over an image, and gives what it must look like.
func (p *pool) with(image storagebench.Image) *node {
	p.t.Helper()
	want, err := truth(image)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.Import(p.t.Context(), image); err != nil {
		p.t.Fatalf("Import: %v", err)
	}
	return want
}

// clone gives the root of a new clone.
func (p *pool) clone(id string) string {
	p.t.Helper()
	root, err := p.Clone(p.t.Context(), id)
	if err != nil {
		p.t.Fatalf("Clone %s: %v", id, err)
	}
	if within, err := filepath.Rel(p.dir, root); err != nil || !filepath.IsLocal(within) {
		p.t.Errorf("the root of %s is %s, not below %s", id, root, p.dir)
	}
	return root
}

func (p *pool) remove(id string) {
	p.t.Helper()
	if err := p.Remove(p.t.Context(), id); err != nil {
		p.t.Errorf("Remove %s: %v", id, err)
	}
}

func (p *pool) usage() storagebench.Usage {
	p.t.Helper()
	u, err := p.Usage(p.t.Context())
	if err != nil {
		p.t.Fatalf("Usage: %v", err)
	}
	return u
}

// expect compares a clone's list of changes.
func (p *pool) expect(id string, want []storagebench.Change) bool {
	p.t.Helper()
	got, err := p.Diff(p.t.Context(), id)
	if err != nil {
		p.t.Errorf("Diff %s: %v", id, err)
		return false
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		p.t.Errorf("Diff %s:\n%s", id, diff)
		return false
	}
	return true
}

// holds compares what is in a directory.
func (p *pool) holds(what, root string, want *node, links bool) bool {
	p.t.Helper()
	got, err := scan(root)
	if err != nil {
		p.t.Errorf("%s: %v", what, err)
		return false
	}
	if !links && len(changes(want, got)) == 0 {
		return true // as below, sooner
	}
	if diff := cmp.Diff(want.describe(links), got.describe(links)); diff != "" {
		p.t.Errorf("%s:\n%s", what, diff)
		return false
	}
	return true
}
