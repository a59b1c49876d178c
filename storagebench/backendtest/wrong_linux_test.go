package backendtest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench"
	"plimsoll/storagebench/tree"
)

// wrong is vfs with one fault.
type wrong struct {
	storagebench.VFS
	fault string
}

func (b wrong) Open(ctx context.Context, dir string, o storagebench.Options) (storagebench.Pool, error) {
	p, err := b.VFS.Open(ctx, dir, o)
	return &wrongPool{Pool: p, fault: b.fault, dir: dir}, err
}

type wrongPool struct {
	storagebench.Pool
	fault, dir string
	first      string // root of the first clone
	closed     bool
}

func (p *wrongPool) Clone(ctx context.Context, id string) (string, error) {
	root, err := p.Pool.Clone(ctx, id)
	if p.fault != "shared" || err != nil {
		return root, err
	}
	if p.first == "" {
		p.first = root
		return root, nil
	}
	// One file is the same in both, so that one's writes are the other's.
	return root, errors.Join(os.Remove(root+"/etc/passwd"), os.Link(p.first+"/etc/passwd", root+"/etc/passwd"))
}

func (p *wrongPool) Diff(ctx context.Context, id string) ([]storagebench.Change, error) {
	found, err := p.Pool.Diff(ctx, id)
	if p.fault == "deletion" {
		found = slices.DeleteFunc(found, func(c storagebench.Change) bool { return c.Kind == tree.Deleted })
	}
	return found, err
}

func (p *wrongPool) Close() error {
	if p.fault == "once" && p.closed {
		return errors.New("closed already")
	}
	err := p.Pool.Close()
	if p.fault == "mount" && !p.closed {
		left := filepath.Join(p.dir, "left")
		err = errors.Join(err, os.Mkdir(left, 0o755), unix.Mount("tmpfs", left, "tmpfs", 0, ""))
	}
	p.closed = true
	return err
}

var wrongs = []struct {
	fault string
	run   func(*testing.T, storagebench.Backend)
	says  string
}{
	{"", testChanges, ""},
	{"shared", func(t *testing.T, b storagebench.Backend) {
		p := open(t, b, storagebench.Options{Size: poolSize})
		want := p.with(fixture())
		one, two := p.clone("one"), p.clone("two")
		if err := os.WriteFile(one+"/etc/passwd", []byte("written"), 0); err != nil {
			t.Fatal(err)
		}
		p.holds("the other clone", two, want, true)
	}, "the other clone"},
	{"deletion", testChanges, "a_file_is_deleted"},
	{"deletion", Model, "Diff set-0"},
	{"mount", testClose, "left behind"},
	{"once", testClose, "closed already"},
}

// TestWrong runs what is to fail in a process of its own, once for each fault:
// a suite that passes a wrong backend proves nothing.
func TestWrong(t *testing.T) {
	if number, ok := os.LookupEnv("PLIMSOLL_WRONG"); ok {
		i, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		wrongs[i].run(t, wrong{fault: wrongs[i].fault})
		return
	}
	needBackend(t, storagebench.VFS{})
	for i, w := range wrongs {
		t.Run(w.fault+" "+w.says, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrong$")
			command.Env = append(os.Environ(), "PLIMSOLL_WRONG="+strconv.Itoa(i), "PLIMSOLL_MEASURE=")
			out, err := command.CombinedOutput()
			if caught := err != nil; caught != (w.fault != "") || !strings.Contains(string(out), w.says) {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
