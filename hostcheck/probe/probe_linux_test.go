package probe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// permitted fails on an error that is neither nil nor a refusal nor absence:
// a probe that is wrong shows as EFAULT, EBADF, E2BIG or EPROTO.
func permitted(t *testing.T, what string, err error) {
	t.Helper()
	for _, wrong := range []error{unix.EFAULT, unix.EBADF, unix.E2BIG, unix.EPROTO, unix.EMSGSIZE, unix.ENOTSOCK, unix.EDESTADDRREQ} {
		if errors.Is(err, wrong) {
			t.Errorf("%s: %v: the probe itself is wrong", what, err)
		}
	}
}

func TestCallsAreWellFormed(t *testing.T) {
	for _, f := range []func() Call{Clone3, PidFD, OpenAt2, CloseRange, IOURing, Landlock, SeccompFilter, SeccompNotify, SessionKeyring, MountAPI, Userfaultfd, Kcmp} {
		c := f()
		permitted(t, c.Name, c.Err)
	}
	_, err := ClockSynchronized()
	permitted(t, "adjtimex", err)
	permitted(t, "tun", Tun())
	_, err = KVM()
	permitted(t, "kvm", err)
	permitted(t, "loop", Loop())
	_, err = DeviceMapper()
	permitted(t, "device mapper", err)
	permitted(t, "idmapped mount", IDMapped(t.TempDir()))
}

func TestNamespaces(t *testing.T) {
	for _, privileged := range []bool{true, false} {
		answers := Namespaces(privileged)
		if len(answers) != len(namespaceFlags) {
			t.Errorf("privileged %v: %d answers", privileged, len(answers))
		}
		for name, err := range answers {
			permitted(t, name, err)
		}
	}
}

// Root as root, and root as an ordinary user, both come to an answer; the
// process stays as dumpable as it was.
func TestUserNamespaceStages(t *testing.T) {
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, drop := range []bool{false, os.Geteuid() == 0} {
		stages := UserNamespace(drop)
		if len(stages) == 0 {
			t.Fatal("no stage")
		}
		if stages[0].Name != StageDrop && stages[0].Err == nil && len(stages) != 7 {
			t.Errorf("drop %v: %d stages: %v", drop, len(stages), stages)
		}
		for _, s := range stages {
			permitted(t, s.Name, s.Err)
		}
	}
	if after, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); after != before {
		t.Errorf("dumpable is %d, was %d", after, before)
	}
}

func TestNetworkStaysInside(t *testing.T) {
	before, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Skip(err)
	}
	// Only what cannot load a module: a kernel with modules is asked for none.
	w := Wanted{Links: map[string]bool{}}
	if _, err := os.Stat("/proc/modules"); err != nil {
		for _, kind := range Links {
			w.Links[kind] = true
		}
		w.Nft, w.IPTables = true, true
	}
	n := Network(os.Geteuid() == 0, w)
	permitted(t, "namespace", n.Namespace)
	for kind, err := range n.Links {
		permitted(t, kind, err)
	}
	if !errors.Is(n.Nft, ErrNotAsked) {
		permitted(t, "nft", n.Nft)
	}
	after, err := os.ReadDir("/sys/class/net")
	if err != nil || len(after) != len(before) {
		t.Errorf("%d interfaces, were %d (%v)", len(after), len(before), err)
	}
}

func TestScratchIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s, err := NewScratch(dir)
	if err != nil {
		t.Fatal(err)
	}
	permitted(t, "reflink", s.Reflink())
	if _, err := s.DType(); err != nil {
		t.Error(err)
	}
	permitted(t, "quota", s.ProjectQuota())
	if _, err := os.Stat("/sys/module/overlay"); err == nil {
		if os.Geteuid() == 0 {
			permitted(t, "overlay", s.Overlay(true))
		}
		permitted(t, "overlay in a user namespace", s.Overlay(false))
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestScratchOfTheDeadIsSwept(t *testing.T) {
	if !firstPIDNamespace() {
		t.Skip("in a container nothing is swept")
	}
	dir := t.TempDir()
	dead := filepath.Join(dir, scratchPrefix+"3999999-1", "deep")
	alive := filepath.Join(dir, scratchPrefix+"1-1")
	for _, d := range []string{dead, alive} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, err := NewScratch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Remove()
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the scratch directory of a dead process is still there: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("that of a live process: %v", err)
	}
}

func TestLeavesOfTheDeadAreSwept(t *testing.T) {
	if !firstPIDNamespace() {
		t.Skip("in a container nothing is swept")
	}
	dir := t.TempDir()
	dead := filepath.Join(dir, leafPrefix+"3999999-7")
	other := filepath.Join(dir, "somebody-elses")
	for _, d := range []string{dead, other} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := NewLeaf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leaf of a dead process is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if err := l.Remove(); err != nil {
		t.Error(err)
	}
}
