package isolate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// TestRandomSpecs starts valid specs that nobody would write: each starts, or
// is refused with a message that names what it was refused for, and none
// leaves anything. The seed is in the name of a failure.
func TestRandomSpecs(t *testing.T) {
	n := 40
	if os.Getenv("PLIMSOLL_MEASURE") != "" {
		n = 1000
	}
	f := newFixture(t)
	open(t, f.image)
	var started, refused int
	reasons := map[string]int{}
	for seed := range uint64(n) {
		err := f.tryRandom(seed)
		if err == nil {
			started++
			continue
		}
		refused++
		reasons[reason(t, seed, err)]++
	}
	t.Logf("%d started, %d refused: %v", started, refused, reasons)
	if started < n/4 || refused == 0 {
		t.Errorf("%d of %d started: the specs are not what they are meant to be", started, n)
	}
}

// reason is the operation or field that a refusal names.
func reason(t *testing.T, seed uint64, err error) string {
	t.Helper()
	if op, ok := errors.AsType[*launch.OpError](err); ok && op.Op.Phase != "" {
		return op.Op.Phase
	}
	for _, field := range []string{"container spec: ", "limit ", "id map "} {
		if strings.Contains(err.Error(), field) {
			return field
		}
	}
	if missing, ok := errors.AsType[*cgroup.MissingError](err); ok {
		return string(missing.Controller)
	}
	t.Errorf("seed %d: refused without the name of an operation or field: %v", seed, err)
	return "?"
}

// tryRandom makes, starts, kills and removes one container.
func (f *fixture) tryRandom(seed uint64) error {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	dir := filepath.Join(f.t.TempDir(), fmt.Sprint("random", seed))
	spec := f.randomSpec(rand.New(rand.NewPCG(seed, 0)), dir)
	defer os.RemoveAll(dir)
	if err := spec.Validate(); err != nil {
		f.t.Errorf("seed %d: not valid: %v", seed, err)
	}
	c, err := f.Create(spec)
	if err != nil {
		return err
	}
	err = c.Start(ctx)
	if err == nil {
		if _, waitErr := c.Wait(ctx); waitErr != nil {
			f.t.Errorf("seed %d: wait: %v", seed, waitErr)
		}
	}
	if removeErr := c.Remove(ctx); removeErr != nil {
		f.t.Errorf("seed %d: %v", seed, removeErr)
	}
	if ctx.Err() != nil {
		f.t.Errorf("seed %d: took more than 20 s: %v", seed, err)
	}
	return err
}

func (f *fixture) randomSpec(r *rand.Rand, dir string) Spec {
	f.n++
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	for _, d := range []string{"merged", "upper", "work", "bind"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			f.t.Fatal(err)
		}
		open(f.t, filepath.Join(dir, d))
	}
	s := Spec{
		Path: "/act", Env: actEnv("true"), Group: fmt.Sprintf("r%d", f.n),
		NoNewPrivs: maybe(50), NewSession: maybe(50), NoStamps: maybe(10), CopyMemory: maybe(10), DenySetgroups: maybe(10),
	}
	for _, ns := range []Namespaces{PID, Mnt, UTS, IPC, Net, Cgroup, UserNS, Time} {
		if maybe(60) {
			s.Namespaces |= ns
		}
	}
	has := s.Namespaces.Has
	if has(UserNS) {
		size := []uint32{1, 10, 65536, 65536, 65536}[r.IntN(5)]
		for _, d := range []string{"upper", "work", "bind"} {
			if err := os.Chown(filepath.Join(dir, d), 100000, 100000); err != nil {
				f.t.Fatal(err)
			}
		}
		s.UIDMap = []IDMap{{Container: 0, Host: 100000, Size: size}}
		s.GIDMap = slices.Clone(s.UIDMap)
		if maybe(10) { // two lines, the second in the first one's way
			s.UIDMap = append(s.UIDMap, IDMap{Container: size / 2, Host: 300000, Size: size})
		}
	}
	if has(Time) && maybe(50) {
		s.TimeOffset = time.Duration(r.Int64N(int64(1000*time.Hour))) - 10*time.Minute
	}
	if has(UTS) && maybe(60) {
		s.Hostname = strings.Repeat(pick("h", "ü", " ", "\n"), 1+r.IntN(16))
	}
	s.Loopback = has(Net) && maybe(50)
	if !has(Mnt) {
		s.Path = f.image + "/act"
	} else {
		f.randomRoot(r, &s, dir)
	}
	if maybe(50) {
		caps := Capabilities(r.Uint64() & (1<<(lastCapability-8) - 1))
		s.Capabilities = &caps
	}
	if maybe(40) {
		s.User = &User{UID: uint32(r.IntN(66000)), GID: uint32(r.IntN(66000)), Groups: []uint32{0, 7}[:r.IntN(3)]}
	}
	s.Dir = pick("", "", "", "", "/", "/", "/", "/proc", "/proc", "/missing")
	if s.Proc && s.Dev && maybe(30) {
		s = mustHarden(f.t, s)
	}
	if maybe(50) {
		s.Limits.PIDs = int64(1 + r.IntN(50))
	}
	if maybe(50) {
		s.Limits.Memory = int64(1<<20 + r.IntN(100<<20))
	}
	if maybe(30) {
		s.Limits.CPU = 0.5 + r.Float64()
	}
	if maybe(30) {
		s.Account = []cgroup.Controller{cgroup.CPU, cgroup.Memory, cgroup.PIDs}[:1+r.IntN(3)]
	}
	return s
}

func (f *fixture) randomRoot(r *rand.Rand, s *Spec, dir string) {
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	s.Root = &Root{Path: f.image, ReadOnly: maybe(30)}
	if maybe(70) {
		s.Root.Path = dir + "/merged"
		s.Root.Overlay = &Overlay{Lower: []string{f.image}, Upper: dir + "/upper", Work: dir + "/work", UserXattr: maybe(20)}
		if maybe(10) {
			s.Root.Overlay.Lower = []string{dir + "/bind", f.image}
		}
		if maybe(5) {
			s.Root.Overlay.Work = dir + "/nowhere"
		}
	} else {
		s.Root.ReadOnly = true // the image is everybody's
	}
	s.Proc, s.Sys, s.Dev = s.Namespaces.Has(PID) && maybe(70), maybe(50), maybe(50)
	for range r.IntN(4) {
		m := Mount{Source: dir + "/bind", Target: []string{"/data", "/data", "/tmp", "/tmp", "/new", "/new/deep", "/act", "/data/b", "/proc/self"}[r.IntN(9)], ReadOnly: maybe(30)}
		switch r.IntN(20) {
		case 0, 2, 3, 4, 5, 6, 7, 8:
			m.Type, m.Source, m.Options = "tmpfs", "tmpfs", "size=1m"
		case 1:
			m.Type, m.Source, m.Options = "nosuchfs", "none", ""
		case 9:
			m.Source = "/nonexistent"
		}
		if m.Target == "/act" && maybe(80) {
			m.Target = "/data"
		}
		s.Mounts = append(s.Mounts, m)
	}
}
