package isolate

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
)

// compiler adds a spec's operations to a launch program.
type compiler struct {
	*launch.Program
	spec    *Spec
	missing launch.Features
}

// Compile gives the launch program of a spec for a kernel that lacks those
// features: a pure function. Files are the descriptors of standard input,
// output and error; join says how the child comes into its cgroup. Where
// the child is born in the group of the unified hierarchy, the caller sets
// Program.Group.
func Compile(s *Spec, files [3]int, join cgroup.Join, missing launch.Features) *launch.Program {
	p := &launch.Program{}
	compile(p, s, files, join, missing)
	return p
}

// compile is Compile in the memory of a program that is no longer used.
func compile(p *launch.Program, s *Spec, files [3]int, join cgroup.Join, missing launch.Features) {
	p.Reset(files)
	c := compiler{p, s, missing}
	c.NoStamps, c.CopyMemory = s.NoStamps, s.CopyMemory
	// The cgroup namespace's root is the group its maker is in: a child that
	// has to join groups makes it after that. A time namespace's offsets are set
	// before anyone is in it: the child goes in by its execve. Before Linux
	// 6.3 (commit 2b5f9dad32ed) execve does not: it is born in one then, which
	// takes clone3 and a copy of the memory.
	later := Time
	if s.Namespaces.Has(Time) && missing.Has(launch.TimeExec) {
		later, c.CopyMemory = 0, true
	}
	if len(join.Files) > 0 || c.movesItself(join) {
		later |= Cgroup
	}
	c.Flags = uint64(s.Namespaces &^ later)

	linked := s.Network != nil && s.Namespaces.Has(UserNS) // by the harness: see Attachment.Link
	if s.Network != nil && !linked {
		c.Lent = s.Network.Router
	}
	c.Descriptors(missing)
	if s.DieWithParent {
		c.parentDeathSignal() // also here: a mount may hang
	}
	switch {
	case s.NewSession:
		c.Add(launch.Op{Phase: "setsid", Call: unix.SYS_SETSID})
	case s.NewGroup:
		c.Add(launch.Op{Phase: "setpgid", Call: unix.SYS_SETPGID}, launch.Number(0), launch.Number(0))
	}
	c.joinGroups(join)
	if ns := s.Namespaces & later; ns != 0 {
		c.Add(launch.Op{Phase: "unshare", Call: unix.SYS_UNSHARE, Hint: "CONFIG_CGROUPS, CONFIG_TIME_NS"},
			launch.Flags(launch.CloneFlags, uint64(ns)))
	}
	if s.TimeOffset != 0 {
		c.WriteFile("time offsets", "/proc/self/timens_offsets", timeOffsets(s), "see time_namespaces(7)")
	}
	if s.Namespaces.Has(UserNS) {
		c.IDMaps = &launch.IDMaps{UID: mapLines(s.UIDMap), GID: mapLines(s.GIDMap), DenySetgroups: s.DenySetgroups, Helpers: s.MapHelpers}
		if linked {
			c.IDMaps.Then = s.Network.Link
		}
		c.AwaitMaps()
		c.become("user namespace root", User{})
	}
	switch {
	case linked:
		c.AwaitThen("network link")
		c.network(s.Network.Requests[1:])
	case s.Network != nil:
		c.network(s.Network.Requests) // early, so that the port carries by the time of the execve
	}
	if s.Root != nil {
		c.root()
	}
	if s.Hostname != "" {
		c.Add(launch.Op{Phase: "sethostname", Object: s.Hostname, Call: unix.SYS_SETHOSTNAME},
			launch.String(s.Hostname), launch.Number(len(s.Hostname)))
	}
	if s.Loopback {
		c.loopbackUp()
	}
	c.finish(s.Path, s.Args, s.Env, s.Dir)
}

// finish gives up what the container's programs are not to have, and
// executes one.
func (c compiler) finish(path string, args, env []string, dir string) {
	c.privileges()
	if dir != "" {
		c.chdir("chdir", dir)
	}
	if c.spec.Root != nil && c.spec.Proc {
		c.execInside(path)
	}
	if f := c.spec.Seccomp; f != nil {
		c.Add(launch.Op{Phase: "seccomp", Call: unix.SYS_SECCOMP, Hint: "CONFIG_SECCOMP_FILTER"},
			launch.Number(unix.SECCOMP_SET_MODE_FILTER), launch.Flags(launch.SeccompFlags, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW),
			launch.Filter(f.Code()))
	}
	c.Exec(path, append([]string{path}, args...), env)
}

// joinGroups writes the child into its cgroups, of which CLONE_INTO_CGROUP reaches
// the unified one only.
func (c compiler) joinGroups(join cgroup.Join) {
	files := join.Files
	if c.movesItself(join) {
		files = append([]string{join.UnifiedProcs}, files...)
	}
	for _, file := range files {
		c.WriteFile("join cgroups", file, "0", "a cgroup that is removed while a container starts cannot be joined")
	}
}

// movesItself is whether the child has to write itself into its group of the
// unified hierarchy too.
func (c compiler) movesItself(join cgroup.Join) bool {
	return c.missing.Has(launch.IntoCgroup) && join.Unified != ""
}

func (c compiler) prctl(phase string, option int, arg launch.Arg, try unix.Errno) {
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_PRCTL, Try: try}, launch.Named(launch.PrctlOptions, option), arg)
}

func (c compiler) chdir(phase, dir string) {
	c.Add(launch.Op{Phase: phase, Object: dir, Call: unix.SYS_CHDIR}, launch.String(dir))
}

// parentDeathSignal is set again after every change of credentials, which
// clears it (prctl(2)).
func (c compiler) parentDeathSignal() {
	c.prctl("parent-death signal", unix.PR_SET_PDEATHSIG, launch.Number(unix.SIGKILL), 0)
}

// execInside makes sure that the program is a file of the container's own. An
// image whose program is a link to /proc/self/exe would have the harness's
// executable run inside, where it can be opened, and written to once the
// harness has ended (CVE-2019-5736).
func (c compiler) execInside(program string) {
	if c.missing.Has(launch.Openat2) {
		return
	}
	const phase = "check program"
	c.openStrict(phase, program, unix.O_PATH, "it must exist inside the root; ELOOP is a link to what is not in it, as /proc/self/exe")
	c.Add(launch.Op{Phase: phase, Call: unix.SYS_CLOSE}, launch.Kept)
}

func (c compiler) privileges() {
	s := c.spec
	if s.NoNewPrivs {
		c.prctl("no_new_privs", unix.PR_SET_NO_NEW_PRIVS, launch.Number(1), 0)
	}
	if s.Capabilities != nil {
		c.dropBounding(*s.Capabilities)
	}
	if s.User != nil {
		c.become("user", *s.User)
	}
	if s.Capabilities != nil {
		keep := *s.Capabilities
		if s.User != nil && s.User.UID != 0 {
			keep = 0 // setresuid away from root cleared them (capabilities(7))
		}
		c.setCapabilities(keep)
	}
	if s.DieWithParent && (s.Capabilities != nil || s.User != nil || s.Namespaces.Has(UserNS)) {
		c.parentDeathSignal()
	}
}

// become sets groups and ids, groups first while that is still allowed.
func (c compiler) become(phase string, u User) {
	if !c.spec.DenySetgroups {
		var groups []byte
		for _, g := range u.Groups {
			groups = binary.NativeEndian.AppendUint32(groups, g)
		}
		c.Add(launch.Op{Phase: phase, Object: "groups", Call: unix.SYS_SETGROUPS, Hint: "are the groups in the map?"}, launch.Number(len(u.Groups)), launch.Bytes(string(groups)))
	}
	gid, uid := launch.Number(u.GID), launch.Number(u.UID)
	c.Add(launch.Op{Phase: phase, Object: "gid", Call: unix.SYS_SETRESGID, Hint: "is the gid in the map?"}, gid, gid, gid)
	c.Add(launch.Op{Phase: phase, Object: "uid", Call: unix.SYS_SETRESUID, Hint: "is the uid in the map?"}, uid, uid, uid)
}

func mapLines(maps []IDMap) string {
	var b strings.Builder
	for _, m := range maps {
		fmt.Fprintf(&b, "%d %d %d\n", m.Container, m.Host, m.Size)
	}
	return b.String()
}

func timeOffsets(s *Spec) string {
	sec, nsec := int64(s.TimeOffset/1e9), int64(s.TimeOffset%1e9)
	if nsec < 0 { // the kernel wants a positive fraction
		sec, nsec = sec-1, nsec+1e9
	}
	of := func(clock string) string {
		return clock + " " + strconv.FormatInt(sec, 10) + " " + strconv.FormatInt(nsec, 10) + "\n"
	}
	return of("monotonic") + of("boottime")
}
