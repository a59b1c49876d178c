package runner

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// finish runs what is left of a plan with no time passing.
func finish(t *testing.T, dir string, p Plan, force bool) Result {
	t.Helper()
	w, done, err := OpenResume(dir, header, p, force)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), p, done, &fake{}, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Cut at any byte, a run resumes and ends with the same trials as one that
// was never cut.
func TestResumeAfterAnyCut(t *testing.T) {
	p := smallPlan(t)
	p.Profile.Gap = 0
	dir := t.TempDir()
	path := filepath.Join(dir, JournalName)
	want, err := Run(t.Context(), p, nil, &fake{}, create(t, dir, p), nil)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	last := bytes.LastIndexByte(bytes.TrimSpace(whole), '\n') // the footer begins behind it
	rapid.Check(t, func(rt *rapid.T) {
		cut := rapid.IntRange(first, last).Draw(rt, "cut")
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			rt.Fatal(err)
		}
		if got := finish(t, dir, p, false); got.Trials != want.Trials || got.Samples != want.Samples || got.Failures != 0 {
			rt.Fatalf("resumed at %d: %+v, want %+v", cut, got, want)
		}
		j, err := ReadJournal(dir)
		if err != nil || len(j.Resumes) != 1 || j.Resumes[0].BootID != "b1" || len(j.Notes) != 0 || j.Footer == nil || j.Footer.Status != "complete" {
			rt.Fatalf("resumed at %d: %+v, %v", cut, j, err)
		}
		for i, trial := range j.Trials {
			if trial.Trial != i || trial.Key != p.Trials[i].Key {
				rt.Fatalf("resumed at %d: trial %d is %+v", cut, i, trial)
			}
		}
	})
}

func TestResumeAfterInterrupt(t *testing.T) {
	dir, p := t.TempDir(), smallPlan(t)
	p.Profile.Gap = 0
	ctx, cancel := context.WithCancel(t.Context())
	ex := &fake{then: func(_ context.Context, trial Trial) (Outcome, error) {
		if trial.ID == 2 {
			cancel() // this trial succeeds all the same, and counts
		}
		return measured(trial), nil
	}}
	if r, err := Run(ctx, p, nil, ex, create(t, dir, p), nil); !errors.Is(err, context.Canceled) || r.Trials != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r := finish(t, dir, p, false); r.Trials != 6 || r.Samples != 12 || r.ExitStatus() != 3 { // crun was named
		t.Errorf("%+v", r)
	}
	if _, _, err := OpenResume(dir, header, p, true); !errors.Is(err, ErrComplete) {
		t.Errorf("a complete run was resumed: %v", err)
	}
}

func TestResumeRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Header, *Plan)
		forced bool // force helps
		want   string
	}{
		{"binary", func(h *Header, _ *Plan) { h.Tool.Hash = "def" }, false, "another build of bench (version v0)"},
		{"seed", func(_ *Header, p *Plan) { p.Seed++ }, false, "its seed is 7, not 8"},
		{"profile", func(_ *Header, p *Plan) { p.Profile.Gap++ }, false, "its profile (test) was another"},
		{"plan", func(_ *Header, p *Plan) { p.Cells = p.Cells[1:] }, false, "its plan was another"},
		{"kernel", func(h *Header, _ *Plan) { h.Hosts = []HostInfo{{Name: "vm", Fingerprint: "g"}} }, true, "host vm, or its kernel"},
		{"host", func(h *Header, _ *Plan) { h.Hosts = []HostInfo{{Name: "wm", Fingerprint: "f"}} }, true, "host vm, or its kernel"},
		{"nothing", func(*Header, *Plan) {}, true, ""},
		{"what was named", func(_ *Header, p *Plan) { p.Profile.Named = nil }, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, p := t.TempDir(), smallPlan(t)
			if err := create(t, dir, p).Close("interrupted"); err != nil {
				t.Fatal(err)
			}
			h := header
			c.change(&h, &p)
			w, _, err := OpenResume(dir, h, p, false)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if w != nil {
				w.Close("interrupted")
			}
			w, _, err = OpenResume(dir, h, p, true)
			if (err == nil) != c.forced {
				t.Errorf("forced: %v", err)
			}
			if w != nil {
				w.Close("interrupted")
			}
		})
	}
}

func TestCreateJournalKeepsWhatIsThere(t *testing.T) {
	dir, p := t.TempDir(), smallPlan(t)
	if err := create(t, dir, p).Close("interrupted"); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateJournal(dir, header, p); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "--resume "+dir) {
		t.Errorf("got %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /dev/full")
	}
	p := smallPlan(t)
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &Writer{file: f, started: time.Now()}
	if err := w.Trial(p.Trials[0], measured(p.Trials[0]), time.Now()); err == nil || !strings.Contains(err.Error(), "no space left") || w.Result().Trials != 0 {
		t.Errorf("%v, %+v", err, w.Result())
	}
}
