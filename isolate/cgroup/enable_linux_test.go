package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// needHandDown finds a controller that the unified hierarchy can hand down, which a
// hybrid host may have too (hugetlb, often), and that is not handed down yet if there is such a one.
func needHandDown(t *testing.T) (*Host, *Hierarchy, Controller) {
	h, err := Detect("/")
	if err != nil {
		t.Fatal(err)
	}
	at := h.unified()
	need(t, "unified", at != nil)
	down := listed(at.Parent + "/cgroup.subtree_control")
	domain := slices.DeleteFunc(slices.Clone(at.Controllers), func(c Controller) bool {
		return c == CPU || c == CPUSet || c == PIDs // threaded controllers know no such constraint
	})
	need(t, "controllers", len(domain) > 0)
	if i := slices.IndexFunc(domain, func(c Controller) bool { return !slices.Contains(down, c) }); i >= 0 {
		return h, at, domain[i]
	}
	return h, at, domain[0]
}

// TestEnableGivesBack: what the parent handed down only for us is taken back in the end.
func TestEnableGivesBack(t *testing.T) {
	h, at, c := needHandDown(t)
	before := listed(at.Parent + "/cgroup.subtree_control")
	r, err := h.NewRun(fmt.Sprintf("test-enable-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Remove(t.Context()) })
	if err := r.enable(at, c); err != nil {
		t.Fatal(err)
	}
	if got := listed(r.bare.Paths()[0] + "/cgroup.controllers"); !slices.Contains(got, c) {
		t.Errorf("the leaf has %v, want %s", got, c)
	}
	if err := r.enable(at, "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a controller that is not there: %v", err)
	}
	if err := r.Remove(soon(t)); err != nil {
		t.Error(err)
	}
	if after := listed(at.Parent + "/cgroup.subtree_control"); !slices.Equal(before, after) {
		t.Errorf("the parent hands down %v, before it was %v", after, before)
	}
}

// TestDelegated plays systemd: a helper in a delegated group of its own must find that group, step aside
// to hand controllers down, and come home.
func TestDelegated(t *testing.T) {
	h, at, c := needHandDown(t)
	outer := newRun(t, h)
	g := create(t, outer, Limits{})
	outer.mu.Lock()
	err := outer.enable(at, c)
	outer.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	own := g.Paths()[0]
	need(t, "cgroup-xattr", unix.Setxattr(own, "user.delegate", []byte("1"), 0) == nil)
	cmd := exec.Command("/proc/self/exe", own, string(c))
	cmd.Env = append(os.Environ(), helperVariable+"=aside")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func helpAside(own, controller string) error {
	if err := writeFile(own+"/cgroup.procs", "0"); err != nil {
		return err
	}
	h, err := Detect("/")
	if err != nil {
		return err
	}
	at := h.unified()
	if at == nil || at.Parent != own {
		return fmt.Errorf("did not choose the delegated group %s: %+v", own, at)
	}
	r, err := h.NewRun("inner")
	if err != nil {
		return err
	}
	if err := r.enable(at, Controller(controller)); err != nil {
		return err
	}
	if got := whereAmI(); filepath.Base(got) != "plimsoll-inner.harness" {
		return fmt.Errorf("stepped aside to %s", got)
	}
	if err := r.Remove(context.Background()); err != nil {
		return err
	}
	if got := whereAmI(); got != strings.TrimPrefix(own, at.Mount) {
		return fmt.Errorf("came home to %s, not %s", got, own)
	}
	if left, _ := subgroups(own); len(left) > 0 || len(listed(own+"/cgroup.subtree_control")) > 0 {
		return fmt.Errorf("left behind: %v", left)
	}
	return nil
}

func whereAmI() string {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for _, m := range parseMemberships(b) {
		if m.version() == 2 {
			return m.path
		}
	}
	return ""
}
