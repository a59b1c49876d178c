package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck"
	"plimsoll/isolate"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/cgroup/scope"
	"plimsoll/profiles"
	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
)

// Options say what an executor is to be able to run.
type Options struct {
	Run     string           // names the run; see runner.Header
	Profile profiles.Profile // its runtimes are probed and its directories looked at
	Self    string           // executable of this program, which containers get a copy of
}

// Executor carries out trials on this host. It is used by one goroutine, which
// Open locks to its thread: containers die with the thread that made them.
type Executor struct {
	profile  profiles.Profile
	ledger   *ledger
	run      *cgroup.Run // nil for a user who may make no cgroups
	noGroups error       // why run is nil
	noScope  error       // why systemd gave the run none; nil where it did or had before
	groups   string      // where run's groups are, and why there: a fact of the host
	engine   *isolate.Engine
	networks networks
	pools    *pools
	dirs     []*workDir
	runtimes map[string]*usable
	facts    map[string]string
	trials   int // carried out: names the directories and cgroups of the next
}

// usable is a runtime and what the probe of it found.
type usable struct {
	level   string // as the profile names it
	runtime runtimes.Runtime
	info    runtimes.Info
	missing *runtimes.Missing // nil when it works
}

// Open makes what a run needs: its ledger, its cgroup, the image in each work
// directory; and probes the profile's runtimes. Close undoes all of it.
func Open(ctx context.Context, o Options) (_ *Executor, err error) {
	runtime.LockOSThread()
	e := &Executor{profile: o.Profile, runtimes: map[string]*usable{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close(ctx))
		}
	}()
	// Containers that a runtime leaves on their own come to us, not to a PID 1
	// that may not reap.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	if e.ledger, err = openLedger(o.Run); err != nil {
		return nil, err
	}
	group, err := e.makeRunGroup(ctx, o.Run)
	if err != nil {
		return nil, err
	}
	if e.engine, err = isolate.NewEngine(e.run); err != nil {
		return nil, err
	}
	e.engine.LaunchTimeout = o.Profile.Timeout
	e.networks = openNetworks(o.Profile.Factors.Network, o.Profile.Factors.Fleet)
	if err := e.makeDirs(o); err != nil {
		return nil, err
	}
	e.pools = newPools(o, e.ledger)
	if o.Profile.Pools.Device != "" {
		if e.pools.device, err = openDevice(ctx, o.Profile.Pools, e.ledger); err != nil {
			return nil, &InputError{err}
		}
	}
	if o.Profile.Pools.UsersImage() {
		if e.pools.user, err = openUserImage(ctx, o.Profile, filepath.Join(e.dirs[0].base, "user-image")); err != nil {
			return nil, &InputError{err}
		}
	}
	image := e.dirs[0].image
	if err := e.engine.Keep(isolate.Spec{Path: image.Dir + image.Probe, Args: []string{probe.ModeWait}}); err != nil {
		return nil, err
	}
	return e, e.probeRuntimes(ctx, group)
}

// makeRunGroup makes the run's cgroup, and says where it is. An ordinary user
// may have none: then there are no limits.
func (e *Executor) makeRunGroup(ctx context.Context, run string) (string, error) {
	host, err := e.delegatedHost(ctx, run)
	if err != nil {
		return "", err
	}
	marker, err := host.Marker()
	if err == nil {
		if err := e.ledger.add("cgroup", host.RunPaths(run)...); err != nil {
			return "", err
		}
		e.run, err = host.NewRun(run)
	}
	if err != nil {
		if os.Getuid() == 0 {
			return "", err
		}
		// Where, and why not: the rest is said to those who can write there.
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path
		}
		e.noGroups, e.groups = err, "none: "+err.Error()+"; "+e.groups
		return "", nil
	}
	rel, err := filepath.Rel(marker.Mount, marker.Parent)
	return filepath.Join("/", rel, cgroup.Prefix+run), err
}

// delegatedHost is the layout of cgroups as this run is to use it: where systemd
// manages them the run goes to a scope of its own, unless it was started in a
// group that is its own.
func (e *Executor) delegatedHost(ctx context.Context, run string) (*cgroup.Host, error) {
	host, err := cgroup.Detect("/")
	if err != nil {
		return nil, err
	}
	if host.Delegated() {
		e.groups = "in the group that was delegated to this program"
		return host, nil
	}
	if err := scope.Enter(ctx, cgroup.Prefix+run, "Containers of bench run "+run); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		e.noScope, e.groups = err, "not in a scope of systemd's: "+err.Error()
		return host, nil
	}
	e.groups = "in a transient scope that systemd delegated"
	return cgroup.Detect("/")
}

func (e *Executor) makeDirs(o Options) error {
	var paths, types []string
	for _, dir := range o.Profile.Factors.Dir {
		path := dir
		if path == "" {
			path = defaultWorkDir
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	e.facts = hostcheck.Facts("/", paths...)
	e.facts["cgroup.run"] = e.groups
	for name, fact := range e.engine.Missing().Facts() { // what is done another way on an older kernel
		e.facts["isolate."+name] = fact
	}
	if e.run != nil {
		facts, err := e.run.Facts()
		if err != nil {
			return err
		}
		for name, fact := range facts {
			e.facts["isolate."+name] = fact
		}
	}
	for i := range paths {
		types = append(types, e.facts[fmt.Sprintf("fs.%d.type", i)])
	}
	levels := nameLevels(types)
	for i, path := range paths {
		d := &workDir{path: o.Profile.Factors.Dir[i], level: levels[i], base: filepath.Join(path, dirPrefix+o.Run)}
		if err := e.ledger.add("dir", d.base); err != nil {
			return err
		}
		if err := os.Mkdir(d.base, 0o755); err != nil {
			return fmt.Errorf("work directory: %w (choose another with --work-dir)", err)
		}
		var err error
		if d.image, err = makeImage(filepath.Join(d.base, "image"), o.Self); err != nil {
			return fmt.Errorf("work directory %s: %w", path, err)
		}
		e.dirs = append(e.dirs, d)
	}
	return nil
}

func (e *Executor) probeRuntimes(ctx context.Context, group string) error {
	at := runtimes.Place{Engine: e.engine, Networks: e.networks.open, Dir: e.dirs[0].base, Group: group, Run: e.run}
	for _, level := range e.profile.Factors.Runtime {
		r, err := runtimes.New(level, at)
		if err != nil {
			return err
		}
		u := &usable{level: level, runtime: r}
		u.info, err = r.Probe(ctx, e.dirs[0].image)
		if err != nil && !errors.As(err, &u.missing) {
			return fmt.Errorf("probe runtime %s: %w", r.Name(), err)
		}
		e.runtimes[r.Name()] = u
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if e.runtimes["bare"] == nil { // the baseline is measured in any case
		r, _ := runtimes.New("bare", at)
		e.runtimes["bare"] = &usable{level: "bare", runtime: r}
	}
	return nil
}

// ScratchDir is the run's own directory in the first work directory: what is
// made in it is removed with the run.
func (e *Executor) ScratchDir() string { return e.dirs[0].base }

// Close removes everything the run made on the host.
func (e *Executor) Close(ctx context.Context) error {
	var errs []error
	if e.run != nil {
		// First: this process may be in a leaf that the ledger lists, and comes
		// home; and what runs in clones keeps their devices busy.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoWait)
		errs = append(errs, e.run.Kill(ctx), e.run.Remove(ctx))
		cancel()
	}
	if e.pools != nil {
		errs = append(errs, e.pools.close())
	}
	if e.ledger != nil {
		errs = append(errs, e.ledger.finish(ctx))
	}
	if e.engine != nil {
		errs = append(errs, e.engine.Close())
	}
	errs = append(errs, e.networks.Close())
	return errors.Join(errs...)
}
