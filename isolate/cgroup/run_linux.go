package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// bareName is the leaf of processes without limits.
const bareName = "bare"

// Run is the group of one run in every hierarchy that it needs. It is safe for
// concurrent use.
type Run struct {
	host   *Host
	name   string
	marker *Hierarchy
	bare   *Group

	mu      sync.Mutex
	made    map[*Hierarchy]bool // where the run's group is
	enabled map[Controller]bool // handed down to the run's group on v2
	devices map[string]int      // descriptors of loaded programs, by their rules
	lent    []Controller        // of these, handed down by Parent only since we asked
	aside   bool                // this process went to its own leaf
	before  []Controller        // handed down by Parent when it did
}

// NewRun makes the run's group in the marker hierarchy, with the leaf for bare
// processes. Write RunPaths(name) to the ledger first. A name has letters,
// digits, "-" and "_", and is not that of a run that is still there (fs.ErrExist).
func (h *Host) NewRun(name string) (*Run, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("run %q: must be 1 to 128 letters, digits, - or _", name)
	}
	marker, err := h.Marker()
	if err != nil {
		return nil, err
	}
	r := &Run{host: h, name: name, marker: marker, made: map[*Hierarchy]bool{}, enabled: map[Controller]bool{}, devices: map[string]int{}}
	if marker.Version == 2 && len(marker.Controllers) > 0 && h.Delegated() {
		// At once: a container runtime that is given a group of the run's hands
		// controllers down by itself, which it can only where no process is.
		err = r.vacate(marker)
	}
	if err == nil {
		r.bare, err = r.create(bareName, Limits{}, nil)
	}
	if err != nil {
		return nil, errors.Join(err, r.Remove(context.Background()))
	}
	return r, nil
}

// A dot is not for names: it would let a group be called like one of the kernel's files, or
// a run like another's harness leaf.
var validName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$`)

// RunPaths gives the directories that a run of this name may make, in every usable
// hierarchy, before any is made: what a ledger needs for Clean. A container
// runtime that is given a group of the run's makes it in all of them,
// systemd's own included, and by the same path in those that our delegated group is
// not in.
func (h *Host) RunPaths(name string) []string {
	var paths []string
	for i := range h.Hierarchies {
		at := &h.Hierarchies[i]
		if at.Err != nil {
			continue
		}
		paths = append(paths, at.runDir(name))
		if at.Version == 2 {
			paths = append(paths, at.harnessDir(name))
		} else if h.delegated != "" && at.Parent == at.Mount {
			outer := filepath.Join(at.Mount, h.delegated)
			paths = append(paths, filepath.Join(outer, Prefix+name))
			if isRunName(filepath.Base(outer)) { // a scope that we asked for
				paths = append(paths, outer)
			}
		}
	}
	return paths
}

func (at *Hierarchy) runDir(run string) string { return filepath.Join(at.Parent, Prefix+run) }

// Values compiles limits as Create writes them: see Host.Values.
func (r *Run) Values(l Limits) ([]Value, error) { return r.host.Values(l) }

// Bare is the group of processes without limits: in the marker hierarchy only.
func (r *Run) Bare() *Group { return r.bare }

// Create makes the group of one container: in the marker hierarchy, in those
// that limits need, and in those of the controllers to account for
// (CPU, Memory, IO, PIDs; Freezer for v1's freezer). A controller that limits
// need and that is missing is a *MissingError; one that is only accounted for
// and missing is left out, and its readings stay unknown. Nothing is left of a
// group that could not be made.
func (r *Run) Create(name string, l Limits, account ...Controller) (*Group, error) {
	if !validName.MatchString(name) || name == bareName {
		return nil, fmt.Errorf("cgroup %q: must be 1 to 128 letters, digits, - or _, and not %q", name, bareName)
	}
	return r.create(name, l, account)
}

func (r *Run) create(name string, l Limits, account []Controller) (*Group, error) {
	values, err := r.host.Values(l)
	if err != nil {
		return nil, err
	}
	var needed []Controller
	for _, v := range values {
		needed = append(needed, v.Controller)
	}
	for _, c := range account {
		switch {
		case c != CPU:
			needed = append(needed, c)
		case r.marker.Version == 1:
			needed = append(needed, CPUAcct) // the unified hierarchy counts CPU time by itself
		}
	}
	g := &Group{run: r, name: name, places: r.places(name, needed)}
	for _, p := range g.places {
		if err := r.prepare(p); err != nil {
			return nil, err
		}
	}
	err = g.make(values)
	if err == nil && l.Devices != nil && r.marker.Version == 2 {
		err = r.limitDevices(g, l.Devices)
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove(context.Background()))
	}
	return g, nil
}

// limitDevices attaches the program of those rules, which is loaded once.
func (r *Run) limitDevices(g *Group, rules []Device) error {
	key := fmt.Sprint(rules)
	r.mu.Lock()
	defer r.mu.Unlock()
	program, ok := r.devices[key]
	if !ok {
		var err error
		if program, err = loadDevices(rules); err != nil {
			return err
		}
		r.devices[key] = program
	}
	return attachDevices(g.places[0].dir, program)
}

// places lists where a group must be made, in the order of joining: the marker,
// then by controller.
func (r *Run) places(name string, needed []Controller) []place {
	places := []place{{at: r.marker, dir: filepath.Join(r.marker.runDir(r.name), name)}}
	for i := range controllers {
		c := &controllers[i]
		if !slices.Contains(needed, c.name) {
			continue
		}
		at, err := r.host.Lookup(c.name)
		if err != nil {
			continue // limits were checked by Values: this one is only accounted for
		}
		p := place{at: at, dir: filepath.Join(at.runDir(r.name), name), uses: []*controller{c}}
		switch i := slices.IndexFunc(places, func(q place) bool { return q.at == at }); {
		case i == 0:
			places[0].uses = append(places[0].uses, c)
		case i > 0: // mounted together, as cpu,cpuacct: it takes the later one's turn
			p.uses = append(places[i].uses, c)
			places = append(slices.Delete(places, i, i+1), p)
		default:
			places = append(places, p)
		}
	}
	return places
}

// prepare makes the run's own group in a hierarchy, once, and hands it the
// controllers that a place uses.
func (r *Run) prepare(p place) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.made[p.at] {
		dir := p.at.runDir(r.name)
		// In the marker hierarchy an existing group is another run's. Elsewhere it
		// may be that of this run, made by a container runtime on its way to a
		// group below it.
		if err := mkdir(dir); err != nil && (p.at == r.marker || !errors.Is(err, fs.ErrExist)) {
			return err
		}
		r.made[p.at] = true
		if err := p.at.inherit(dir); err != nil {
			return err
		}
	}
	if p.at.Version == 2 {
		for _, c := range p.uses {
			if err := r.enable(p.at, c.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// inherit fills in what v1 leaves empty or off in a new group.
func (at *Hierarchy) inherit(dir string) error {
	if at.Version != 1 {
		return nil
	}
	if slices.Contains(at.Controllers, CPUSet) {
		for _, file := range []string{"/cpuset.cpus", "/cpuset.mems"} { // both, or no process may join (cpusets.rst)
			own, err := readFile(dir+file, nil)
			if err != nil {
				return err
			}
			if len(trim(own)) > 0 {
				continue // the parent has cgroup.clone_children set
			}
			parents, err := readFile(filepath.Dir(dir)+file, nil)
			if err != nil {
				return err
			}
			if err := writeFile(dir+file, trim(parents)); err != nil {
				return err
			}
		}
	}
	if slices.Contains(at.Controllers, Memory) && filepath.Dir(dir) == at.Parent {
		// Before Linux 5.11 groups made inside a container would escape its limit.
		file := dir + "/memory.use_hierarchy"
		if on, err := readFile(file, nil); err == nil && trim(on) == "0" {
			return writeFile(file, "1")
		}
	}
	return nil
}

// Kill kills every process of the run, in all its groups, and waits until none
// is left or ctx ends.
func (r *Run) Kill(ctx context.Context) error {
	if at, err := r.host.Lookup(Freezer); err == nil {
		thawTree(at.runDir(r.name))
	}
	return killTree(ctx, r.marker.runDir(r.name))
}

// Remove removes the run's groups in every hierarchy, and gives back what was
// borrowed for them. The processes must be gone.
func (r *Run) Remove(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for at := range r.made { // no other: an equal name may be a run that died
		errs = append(errs, removeTree(ctx, at.runDir(r.name)))
	}
	for _, program := range r.devices { // groups keep those that are attached
		errs = append(errs, unix.Close(program))
	}
	clear(r.devices)
	clear(r.made)
	clear(r.enabled)
	errs = append(errs, r.giveBack(ctx))
	return errors.Join(errs...)
}

// Clean kills and removes what a run left, given the paths that its ledger
// recorded from RunPaths. Paths that are gone are no error. A path that is
// not a run group in a cgroup file system is refused and left alone.
func Clean(ctx context.Context, paths []string) error {
	var errs []error
	var ours []string
	for _, path := range paths {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		switch {
		case !filepath.IsAbs(path) || filepath.Clean(path) != path || !isRunName(filepath.Base(path)):
			errs = append(errs, fmt.Errorf("clean %q: not the path of a run's cgroup; left alone", path))
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, &fs.PathError{Op: "clean cgroup", Path: path, Err: err})
		case st.Type != unix.CGROUP_SUPER_MAGIC && st.Type != unix.CGROUP2_SUPER_MAGIC:
			errs = append(errs, fmt.Errorf("clean %s: not in a cgroup file system; left alone", path))
		default:
			ours = append(ours, path)
		}
	}
	for _, path := range ours {
		thawTree(path)
	}
	for _, path := range ours { // all, before any is removed: a process sits in several
		errs = append(errs, killTree(ctx, path))
	}
	for _, path := range ours {
		errs = append(errs, removeTree(ctx, path))
	}
	for _, path := range ours {
		errs = append(errs, removeScope(ctx, filepath.Dir(path), scopeWait))
	}
	return errors.Join(errs...)
}

// isRunName accepts the base names that RunPaths gives.
func isRunName(base string) bool {
	run, ok := strings.CutPrefix(base, Prefix)
	return ok && validName.MatchString(strings.TrimSuffix(strings.TrimSuffix(run, harnessSuffix), ".scope"))
}
