package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/cgroup/scope"
	"plimsoll/isolate/launch"
	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/storagebench"
	"plimsoll/storagebench/operation"
)

// Host says what the planner has to know: the levels' names for the work
// directories, and which cells cannot run here, why, and what to do.
func (e *Executor) Host(ctx context.Context) runner.Host {
	h := runner.Host{Name: hostName(), Dirs: map[string]string{}, Lacks: e.lacks(ctx)}
	for _, d := range e.dirs {
		h.Dirs[d.path] = d.level
	}
	return h
}

func hostName() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

// Info describes the host for the journal's header.
func (e *Executor) Info() runner.HostInfo {
	return runner.HostInfo{Name: hostName(), Fingerprint: hostcheck.Fingerprint(e.facts), Facts: e.facts}
}

// Levels says what the names of runtimes, storage, directories and caches
// stand for on this host.
func (e *Executor) Levels() runner.Levels {
	l := runner.Levels{
		"runtime": {},
		"dir":     {},
		"storage": {
			"host":    {"root": "the host's own"},
			"bind":    {"root": "the image, bound read-only; a directory of the instance's own on /data"},
			"overlay": {"root": "overlay of the image and an upper directory of the instance's own"},
		},
		"cache": {
			"warm": {"pages": "as the trials before left them"},
			"cold": {"pages": "of the image's files dropped by posix_fadvise before the trial"},
		},
		"network": e.networks.levels(),
	}
	if slices.Contains(e.profile.Factors.Workload, "quirks") {
		l["quirk"] = map[string]map[string]string{}
		for _, q := range operation.List() {
			l["quirk"][q.Name] = map[string]string{"plain": q.Plain, "why": q.Why}
		}
	}
	if name := e.profile.Pools.Image; e.profile.Pools.UsersImage() {
		l["image"] = map[string]map[string]string{name: e.pools.user.meaning()}
	}
	for storage, meaning := range e.pools.levels(e.profile.Factors.Storage) {
		l["storage"][storage] = meaning
	}
	for name, u := range e.runtimes {
		if u.missing == nil {
			l["runtime"][name] = map[string]string{"path": u.info.Path, "version": u.info.Version}
			if u.info.Note != "" {
				l["runtime"][name]["note"] = u.info.Note
			}
		}
	}
	for i, d := range e.dirs {
		of := map[string]string{}
		for _, fact := range []string{"type", "options", "device", "rotational", "path"} {
			of[fact] = e.facts[fmt.Sprintf("fs.%d.%s", i, fact)]
		}
		l["dir"][d.level] = of
	}
	return l
}

// Runtimes lists the profile's runtimes: what each is, or why it is missing.
func (e *Executor) Runtimes() []RuntimeInfo {
	var list []RuntimeInfo
	for name, u := range e.runtimes {
		r := RuntimeInfo{Name: name, Path: u.info.Path, Version: u.info.Version, Usable: u.missing == nil}
		if u.missing != nil {
			r.Reason, r.Fix = u.missing.Reason, u.missing.Fix
		}
		list = append(list, r)
	}
	sort.Slice(list, func(i, j int) bool { return rank(list[i].Name) < rank(list[j].Name) })
	return list
}

// RuntimeInfo is what can be said of a runtime on this host.
type RuntimeInfo struct {
	Name    string `json:"name"`
	Usable  bool   `json:"usable"`
	Path    string `json:"path,omitempty"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"` // why it is not usable
	Fix     string `json:"fix,omitempty"`
}

func rank(name string) string {
	return fmt.Sprintf("%03d %s", (slices.Index(profiles.Runtimes, name)+len(profiles.Runtimes)+1)%(len(profiles.Runtimes)+1), name)
}

func (e *Executor) lacks(ctx context.Context) []runner.Lack {
	var list []runner.Lack
	lack := func(reason, fix string, where profiles.Exclusion) {
		list = append(list, runner.Lack{Where: where, Reason: reason, Fix: fix})
	}
	var limits []string
	for name := range e.profile.Limits {
		limits = append(limits, name)
	}
	slices.Sort(limits)
	for _, r := range e.Runtimes() {
		u := e.runtimes[r.Name]
		if u.missing != nil {
			lack(u.missing.Reason, u.missing.Fix, profiles.Exclusion{Runtime: []string{r.Name}})
			continue
		}
		if u.info.Container {
			// A root of its own is what makes it a container: on the host's, it
			// would mount over the host.
			where := profiles.Exclusion{Runtime: []string{r.Name}, Storage: []string{"host"}}
			if u.info.Rungs { // the lower ones leave the host's root in place
				where.Params = map[string][]string{"rung": {"", "root", "full", "hardened"}}
			}
			lack(r.Name+" has a root of its own", "use storage bind or overlay", where)
			if !u.info.MountsRoot && os.Getuid() != 0 {
				lack("an overlay has to be mounted for "+r.Name+", which only root may do", "run with sudo, or use storage bind",
					profiles.Exclusion{Runtime: []string{r.Name}, Storage: []string{"overlay"}})
			}
			if own := e.networks.made(); !u.info.Networks && len(own) > 0 {
				lack(r.Name+" cannot be put on the run's own networks", "use network none or host", profiles.Exclusion{Runtime: []string{r.Name}, Network: own})
			}
			if !u.info.Lifecycle {
				lack(r.Name+" cannot enter, freeze and restart its containers here", "", profiles.Exclusion{Workload: []string{"lifecycle"}, Runtime: []string{r.Name}})
			}
			if !u.info.Limits && len(limits) > 0 {
				lack(r.Name+" cannot limit resources", "", profiles.Exclusion{Runtime: []string{r.Name}, Limits: limits})
			}
		}
	}
	for _, name := range limits {
		if err := e.canLimit(e.profile.Limits[name]); err != nil {
			reason, fix := err.Error(), ""
			var missing *cgroup.MissingError
			switch {
			case errors.As(err, &missing):
				reason, fix = fmt.Sprintf("cgroup controller %s: %s", missing.Controller, missing.Why), missing.Hint
			case e.run == nil:
				fix = e.howToHaveGroups()
			}
			lack(reason, fix, profiles.Exclusion{Limits: []string{name}})
		}
	}
	for _, level := range slices.Sorted(maps.Keys(e.networks.missing)) {
		lack(e.networks.missing[level].Error(), "use network none, or run with sudo", profiles.Exclusion{Network: []string{level}})
	}
	for _, d := range e.dirs {
		if !slices.Contains(e.profile.Factors.Storage, "overlay") {
			break
		}
		if err := e.tryOverlay(d); err != nil {
			fix := "choose another --work-dir, on ext4, xfs (ftype=1), btrfs or tmpfs"
			if os.Getuid() != 0 && e.engine.Missing().Has(launch.UserOverlay) {
				fix = "run with sudo, or use storage bind: before Linux 5.11 only root may mount an overlay"
			}
			lack(err.Error(), fix, profiles.Exclusion{Storage: []string{"overlay"}, Dir: []string{d.level}})
		}
	}
	if e.profile.Pools.UsersImage() {
		list = append(list, e.pools.user.lacks(e.profile)...)
	}
	for _, storage := range e.profile.Factors.Storage {
		if b, ok := storagebench.Find(storage); ok && b.Info().NeverCold != "" {
			lack(storage+": "+b.Info().NeverCold, "use cache warm", profiles.Exclusion{Storage: []string{storage}, Cache: []string{"cold"}, Workload: workloadsOnStorage()})
		}
		for _, d := range e.dirs {
			if err := e.pools.probe(ctx, d, storage); err != nil {
				reason, fix := err.Error(), ""
				var missing *storagebench.Missing
				if errors.As(err, &missing) {
					reason, fix = missing.Reason, missing.Fix
				}
				where := profiles.Exclusion{Storage: []string{storage}, Dir: []string{d.level}}
				if storage == "overlay" { // containers have it without a pool
					where.Workload = workloadsOnStorage()
				}
				lack(reason, fix, where)
			}
		}
	}
	return list
}

// workloadsOnStorage names the workloads that need a pool on any storage.
func workloadsOnStorage() []string {
	var names []string
	for _, w := range profiles.Catalogue {
		if w.OnStorage {
			names = append(names, w.Name)
		}
	}
	return names
}

// canLimit finds out by doing it: a group with these limits is made and
// removed.
func (e *Executor) canLimit(p profiles.Limits) error {
	if e.run == nil {
		return fmt.Errorf("this user may make no cgroups: %w", e.noGroups)
	}
	limits, err := e.limits(p, e.dirs[0])
	if err != nil {
		return err
	}
	g, err := e.run.Create("try-limits", limits)
	if err != nil {
		return err
	}
	return g.Remove(background())
}

// howToHaveGroups is what an ordinary user can do to have limits.
func (e *Executor) howToHaveGroups() string {
	const sudo = "run with sudo"
	var unavailable *scope.UnavailableError
	if errors.As(e.noScope, &unavailable) && unavailable.Hint != "" {
		return sudo + ", or: " + unavailable.Hint
	}
	return sudo
}

// limits resolves a profile's limits on this host.
func (e *Executor) limits(p profiles.Limits, d *workDir) (cgroup.Limits, error) {
	l := cgroup.Limits{
		CPU: p.CPU, CPUPeriod: p.CPUPeriod, CPUWeight: p.CPUWeight, CPUSet: p.CPUSet, Mems: p.Mems, Memory: p.Memory, Swap: p.Swap, PIDs: p.PIDs,
		IOWeight: p.IOWeight,
	}
	for _, h := range p.Hugetlb {
		l.Hugetlb = append(l.Hugetlb, cgroup.HugetlbLimit{PageSize: h.Page, Max: h.Limit})
	}
	for _, io := range p.IO {
		device, err := wholeDisk(io.Device, d.base)
		if err != nil {
			return l, err
		}
		l.IO = append(l.IO, cgroup.IOLimit{Device: device, ReadBPS: io.ReadBPS, WriteBPS: io.WriteBPS, ReadIOPS: io.ReadIOPS, WriteIOPS: io.WriteIOPS})
	}
	return l, nil
}

// wholeDisk gives MAJOR:MINOR of the disk that a device is or is part of:
// the kernel throttles disks, not partitions.
func wholeDisk(device, workDir string) (string, error) {
	var st unix.Stat_t
	var dev uint64
	switch {
	case device == "workdir":
		if err := unix.Stat(workDir, &st); err != nil {
			return "", fmt.Errorf("device under %s: %w", workDir, err)
		}
		dev = st.Dev
	case strings.HasPrefix(device, "/"):
		if err := unix.Stat(device, &st); err != nil {
			return "", fmt.Errorf("device %s: %w", device, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return "", fmt.Errorf("device %s: not a block device", device)
		}
		dev = st.Rdev
	default:
		return device, nil
	}
	number := strconv.Itoa(int(unix.Major(dev))) + ":" + strconv.Itoa(int(unix.Minor(dev)))
	if _, err := os.Stat("/sys/dev/block/" + number); err != nil {
		return "", fmt.Errorf("device %s: %s is not a block device of this host, so its I/O cannot be throttled", device, number)
	}
	if _, err := os.Stat("/sys/dev/block/" + number + "/partition"); err != nil {
		return number, nil
	}
	text, err := os.ReadFile("/sys/dev/block/" + number + "/../dev")
	if err != nil {
		return "", fmt.Errorf("disk of partition %s: %w", device, err)
	}
	return strings.TrimSpace(string(text)), nil
}
