package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"plimsoll/hostcheck"
	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/runner/local"
)

// job is one call of bench run.
type job struct {
	options runOptions
	out     io.Writer // the plan, or the summary
	notes   io.Writer // all else
	profile profiles.Profile
	header  runner.Header // what is known of it before the host is
	results results
	began   bool // the journal is open, or was
}

// measure carries out bench run. It stays on one goroutine from local.Open to
// Close: containers die with the thread that made them.
func measure(ctx context.Context, o runOptions, s streams) error {
	j := &job{options: o, out: s.out, notes: s.err}
	if o.quiet {
		j.notes = io.Discard
	}
	prepare := j.begin
	if o.resume != "" {
		prepare = j.takeUp
	}
	if err := prepare(); err != nil {
		return err
	}
	ctx, release := untilStopped(ctx, s.err)
	if o.dryRun {
		defer release()
		return j.plan(ctx)
	}
	complete, err := j.carryOut(ctx)
	if context.Cause(ctx) == errStopped && !complete && !errors.Is(err, errStopped) {
		err = errors.Join(errStopped, err)
	}
	release()
	switch {
	case complete:
		return errors.Join(err, j.results.conclude(j.out, j.notes, o.format))
	case j.began:
		return j.results.cutShort(err)
	}
	j.results.discard()
	return err
}

// begin resolves the profile of a new run and makes its directory.
func (j *job) begin() error {
	over, err := j.options.overrides(os.Environ())
	if err != nil {
		return err
	}
	if j.profile, err = profiles.Load(j.options.profile, over); err != nil {
		return withStatus(statusUsage, err)
	}
	if j.profile.Pools, err = absolute(j.profile.Pools); err != nil {
		return err
	}
	if j.profile.Seed == 0 {
		j.profile.Seed = uint64(mathrand.Uint32()) + 1 // short enough to be typed
	}
	seed := strconv.FormatUint(j.profile.Seed, 10)
	now := time.Now().UTC()
	j.header = runner.Header{
		Run:     runName(now),
		Started: now,
		Seed:    j.profile.Seed,
		Command: j.options.command(os.Args[0], os.Environ(), seed),
	}
	if j.header.Tool, err = thisTool(); err != nil || j.options.dryRun {
		return err
	}
	dir := j.options.out
	if dir == "" {
		dir = filepath.Join("results", now.Format("20060102-150405")+"-"+j.profile.Name)
	}
	j.results, err = newResults(dir)
	return err
}

// takeUp reads what the journal of the run says of it.
func (j *job) takeUp() (err error) {
	if j.header, err = runner.ReadHeader(j.options.resume); err != nil {
		return usageError("--resume: %w", err)
	}
	if j.header.Tool, err = thisTool(); err != nil {
		return err
	}
	j.profile = j.header.Profile
	j.results = results{dir: j.options.resume, owner: ownerBehindSudo(os.Geteuid(), os.Getenv)}
	return nil
}

// runName is the name of a run: its time, and four digits that tell it from
// another of the same second.
func runName(t time.Time) string {
	b := make([]byte, 2)
	rand.Read(b) // never fails
	return t.Format("20060102-150405-") + hex.EncodeToString(b)
}

// open makes what the run needs on the host, and the plan for that host.
func (j *job) open(ctx context.Context) (*local.Executor, runner.Plan, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, runner.Plan{}, fmt.Errorf("this program, which containers get a copy of: %w", err)
	}
	ex, err := local.Open(ctx, local.Options{Run: j.header.Run, Profile: j.profile, Self: self})
	if input, ok := errors.AsType[*local.InputError](err); ok {
		return nil, runner.Plan{}, withStatus(statusUsage, input)
	}
	if err != nil {
		return nil, runner.Plan{}, err
	}
	plan, err := runner.NewPlan(j.profile, []runner.Host{ex.Host(ctx)}, j.header.Seed, j.options.require)
	return ex, plan, withStatus(statusUsage, err)
}

// plan is bench run --dry-run.
func (j *job) plan(ctx context.Context) error {
	ex, plan, err := j.open(ctx)
	if ex != nil {
		err = errors.Join(err, ex.Close(ctx))
	}
	var dear *runner.BudgetError
	if err != nil && !errors.As(err, &dear) {
		return err
	}
	write := writePlan
	if j.options.format == "json" {
		write = writePlanJSON
	}
	return errors.Join(err, write(j.out, plan), namedSkips(plan.Skips))
}

// carryOut measures. Complete says that the journal is, and that err, if there
// is one, concerns what came after it.
func (j *job) carryOut(ctx context.Context) (complete bool, err error) {
	live := j.tidy(ctx)
	if j.options.resume != "" && slices.Contains(live, j.header.Run) {
		return false, usageError("--resume %s: that run is still under way", j.options.resume)
	}
	ex, plan, err := j.open(ctx)
	if ex != nil {
		defer func() { err = errors.Join(err, j.close(ctx, ex)) }()
	}
	if err != nil {
		return false, err
	}
	w, done, err := j.journal(ctx, ex, plan)
	if errors.Is(err, runner.ErrComplete) {
		fmt.Fprintf(j.notes, "bench: the run in %s is complete: there is nothing left to measure\n", j.results.dir)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	j.began = true
	j.introduce(plan, len(done))
	for _, run := range live {
		if err := w.Warn("other_run", fmt.Sprintf("run %s was under way on this host: both disturbed each other; run one after the other", run)); err != nil {
			return false, errors.Join(err, w.Close("interrupted"))
		}
	}
	_, err = runner.Run(ctx, plan, done, ex, w, j.observer())
	return err == nil, err
}

// tidy undoes what killed runs left, and gives the runs that are under way.
func (j *job) tidy(ctx context.Context) []string {
	cleaned, err := local.Clean(ctx)
	for _, run := range cleaned.Undone {
		fmt.Fprintf(j.notes, "bench: removed what run %s left when it was killed\n", run)
	}
	if err != nil {
		fmt.Fprintf(j.notes, "bench: what a killed run left could not be removed: %s\n", err)
	}
	for _, run := range cleaned.Live {
		fmt.Fprintf(j.notes, "bench: run %s is under way on this host: both will disturb each other\n", run)
	}
	return cleaned.Live
}

// close removes what the run made on the host.
func (j *job) close(ctx context.Context, ex *local.Executor) error {
	if err := ex.Close(ctx); err != nil {
		return fmt.Errorf("remove what the run made: %w (try: bench clean)", err)
	}
	return nil
}

// introduce says what is about to happen; done is of a run that is resumed.
func (j *job) introduce(p runner.Plan, done int) {
	for _, skips := range groupSkips(p.Skips) {
		fmt.Fprintf(j.notes, "bench: skipping %d of %d cells: %s\n", len(skips.cells), len(p.Cells)+len(p.Skips), skips.why())
	}
	if len(p.Skips) > 0 && os.Geteuid() != 0 {
		fmt.Fprintf(j.notes, "bench: you are not root: more can be measured by sudo bench run\n")
	}
	if done > 0 {
		fmt.Fprintf(j.notes, "bench: going on after %d of %d trials, into %s\n", done, len(p.Trials), j.results.dir)
		return
	}
	fmt.Fprintf(j.notes, "bench: %d trials of profile %s, about %s, into %s\n", len(p.Trials), p.Profile.Name, about(p.Estimate), j.results.dir)
}

// journal opens the journal: a new one, with what the harness costs, or the
// one that is resumed.
func (j *job) journal(ctx context.Context, ex *local.Executor, plan runner.Plan) (*runner.Writer, map[int]bool, error) {
	j.header.Hosts, j.header.Levels = []runner.HostInfo{ex.Info()}, ex.Levels()
	if j.options.resume != "" {
		w, done, err := runner.OpenResume(j.results.dir, j.header, plan, j.options.force)
		return w, done, withStatus(statusUsage, err)
	}
	costs, err := ex.Calibrate(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, err := runner.CreateJournal(j.results.dir, j.header, plan)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(j.results.owner.own(filepath.Join(j.results.dir, runner.JournalName)), w.Calibrate(costs...), preflight(w, ex.ScratchDir())); err != nil {
		return nil, nil, errors.Join(err, w.Close("interrupted"))
	}
	return w, nil, nil
}

// preflight keeps with the figures what this host lacks for them, and what on
// it will disturb them: checkconfig --for bench tells all of it.
// What it makes on the way goes into dir, which goes with the run.
func preflight(w *runner.Writer, dir string) error {
	report, err := hostcheck.Run(hostcheck.Options{Use: "bench", Dir: dir})
	if err != nil {
		return fmt.Errorf("check this host: %w", err)
	}
	var errs []error
	for _, r := range report.Results {
		if r.Verdict != hostcheck.Fail && (r.Verdict != hostcheck.Warn || r.Group != "noise") {
			continue
		}
		text := "before the run, " + cmp.Or(r.Detail, "not so: "+r.Title)
		if r.Fix != "" {
			text += " (" + r.Fix + ")"
		}
		errs = append(errs, w.Warn(r.ID, text))
	}
	return errors.Join(errs...)
}

func (j *job) observer() func(runner.Progress) {
	if j.options.quiet {
		return nil
	}
	return newProgress(j.notes).observe
}

// absolute makes the paths in p absolute: a run may be resumed from another
// directory.
func absolute(p profiles.Pools) (profiles.Pools, error) {
	form, path, _ := strings.Cut(p.Image, ":")
	if p.UsersImage() && form != "registry" {
		path, err := filepath.Abs(path)
		if err != nil {
			return p, usageError("pools.image %s: %w", p.Image, err)
		}
		p.Image = form + ":" + path
	}
	if p.Device != "" {
		device, err := filepath.Abs(p.Device)
		if err != nil {
			return p, usageError("pools.device %s: %w", p.Device, err)
		}
		p.Device = device
	}
	return p, nil
}
