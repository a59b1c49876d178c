package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOwnerBehindSudo(t *testing.T) {
	for _, l := range []struct {
		euid     int
		uid, gid string
		want     owner
	}{
		{0, "1000", "100", owner{1000, 100}},
		{0, "1000", "0", owner{1000, 0}},
		{1000, "1000", "100", owner{}}, // not root: nothing to give away
		{0, "0", "0", owner{}},
		{0, "", "", owner{}},
		{0, "-1", "100", owner{}},
		{0, "me", "100", owner{}},
	} {
		env := map[string]string{"SUDO_UID": l.uid, "SUDO_GID": l.gid}
		if got := ownerBehindSudo(l.euid, func(name string) string { return env[name] }); got != l.want {
			t.Errorf("%d %q %q: %v, want %v", l.euid, l.uid, l.gid, got, l.want)
		}
	}
}

// TestDiscard: directories that were made go again, those that were there or
// have something in them stay.
func TestDiscard(t *testing.T) {
	base := t.TempDir()
	r, err := newResults(filepath.Join(base, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(r.dir); err != nil || len(entries) > 0 {
		t.Errorf("%v %v", entries, err)
	}
	r.discard()
	if entries, err := os.ReadDir(base); err != nil || len(entries) > 0 {
		t.Errorf("%v %v are left", entries, err)
	}
	if r, err = newResults(filepath.Join(base, "a", "b")); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(base, "a", "note"), nil, 0o644)
	r.discard()
	if _, err := os.Stat(filepath.Join(base, "a", "note")); err != nil {
		t.Error(err)
	}
}

// TestWrite: a file is replaced whole, or not at all, and a link is not
// followed.
func TestWrite(t *testing.T) {
	r := results{dir: t.TempDir()}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	os.WriteFile(elsewhere, []byte("mine"), 0o644)
	os.Symlink(elsewhere, filepath.Join(r.dir, summaryName))
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	text := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, s)
			return err
		}
	}
	if err := r.write(summaryName, text("whole", nil)); err != nil {
		t.Fatal(err)
	}
	if got := read(elsewhere); got != "mine" {
		t.Errorf("the link's target is %q", got)
	}
	full := errors.New("disk full")
	if err := r.write(summaryName, text("ha", full)); !errors.Is(err, full) || !strings.Contains(err.Error(), summaryName) {
		t.Errorf("error %v", err)
	}
	if got := read(filepath.Join(r.dir, summaryName)); got != "whole" {
		t.Errorf("the file is %q", got)
	}
	if entries, _ := os.ReadDir(r.dir); len(entries) != 1 {
		t.Errorf("%v are there", entries)
	}
}
