package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"plimsoll/profiles"
)

// ErrComplete says that a journal that was to be resumed is complete.
var ErrComplete = errors.New("the run is complete: there is nothing to resume")

// bootFact is the host's fact that tells two boots apart.
const bootFact = "kernel.boot_id"

// OpenResume takes up the run in dir again: it drops what follows the last
// complete trial and appends a resume record. The set holds the IDs of the
// trials that are done.
//
// The header is the one that a fresh run would write; its Tool and Hosts
// count. Another profile, seed, plan or binary than the journal's is refused,
// and so is another host or kernel (the fingerprint) unless force is set. A
// reboot in between is recorded. A journal that needs nothing more gives
// [ErrComplete].
func OpenResume(dir string, h Header, p Plan, force bool) (w *Writer, done map[int]bool, err error) {
	path := filepath.Join(dir, JournalName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("resume: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	j, end, err := decodeJournal(f, path)
	if err != nil {
		return nil, nil, err
	}
	if j.Footer != nil && j.Footer.Status == "complete" {
		return nil, nil, fmt.Errorf("resume %s: %w", path, ErrComplete)
	}
	if h, err = p.header(h); err != nil {
		return nil, nil, err
	}
	if err := sameRun(j.Header, h, force); err != nil {
		return nil, nil, fmt.Errorf("resume %s: %w", path, err)
	}
	if err := f.Truncate(end); err != nil {
		return nil, nil, fmt.Errorf("resume: %w", err)
	}
	w = &Writer{file: f, started: j.Header.Started, size: end, result: j.Result()}
	done = map[int]bool{}
	for _, t := range j.Trials {
		done[t.Trial] = true
	}
	r := Resume{Kind: "resume", At: time.Now().UTC(), Trials: len(done)}
	if len(h.Hosts) > 0 {
		r.BootID, r.Fingerprint = h.Hosts[0].Facts[bootFact], h.Hosts[0].Fingerprint
	}
	if err := w.write(r); err != nil {
		return nil, nil, err
	}
	return w, done, w.sync()
}

// sameRun says why samples of a run with the header now cannot stand beside
// those of old.
func sameRun(old, now Header, force bool) error {
	same, err := sameProfile(old.Profile, now.Profile)
	if err != nil {
		return err
	}
	switch {
	case old.Tool.Hash != now.Tool.Hash:
		return fmt.Errorf("it was begun by another build of %s (version %s): resume with that one, or begin a new run", old.Tool.Name, old.Tool.Version)
	case old.Seed != now.Seed:
		return fmt.Errorf("its seed is %d, not %d: leave --seed out", old.Seed, now.Seed)
	case !same:
		return fmt.Errorf("its profile (%s) was another: leave the profile and its overrides out, or begin a new run", old.Profile.Name)
	case len(old.Hosts) != len(now.Hosts):
		return fmt.Errorf("it is of %d hosts, not %d", len(old.Hosts), len(now.Hosts))
	}
	for i, host := range old.Hosts {
		if n := now.Hosts[i]; !force && (n.Name != host.Name || n.Fingerprint != host.Fingerprint) {
			return fmt.Errorf("host %s, or its kernel, is not the one of the samples before: begin a new run, or force it", host.Name)
		}
	}
	if old.Plan != now.Plan {
		return errors.New("its plan was another: what this host can run has changed since (`bench runtimes` shows it); put it back, or begin a new run")
	}
	return nil
}

// sameProfile compares what profiles measure, not what the user named.
func sameProfile(a, b profiles.Profile) (bool, error) {
	a.Named, b.Named = nil, nil
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return string(x) == string(y), err
}
