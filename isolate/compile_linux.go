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

// Compile gives the launch program of a spec: a pure function. Files are the
// descriptors of standard input, output and error; join says how the child
// comes into its cgroup, of which only files have to be written: the caller
// sets Program.Group for the unified hierarchy.
func Compile(s *Spec, files [3]int, join cgroup.Join) *launch.Program {
	p := &launch.Program{
		Group:      -1,
		Files:      files,
		NoStamps:   s.NoStamps,
		CopyMemory: s.CopyMemory,
		// The cgroup namespace's root is the group its maker is in, so it is
		// made only once the child is in its own; so is a time namespace, whose
		// offsets are set before anyone is in it.
		Flags: uint64(s.Namespaces &^ (Cgroup | Time)),
	}
	p.Ops = make([]launch.Op, 0, 96)
	add := func(ops ...launch.Op) { p.Ops = append(p.Ops, ops...) }

	add(launch.Descriptors(files)...)
	if s.DieWithParent {
		add(parentDeathSignal) // also here: a mount may hang
	}
	if s.NewSession {
		add(launch.Op{Phase: "setsid", Call: unix.SYS_SETSID})
	}
	for _, file := range join.Files {
		add(launch.WriteFile("join cgroups", file, "0", "a cgroup that is removed while a container starts cannot be joined")...)
	}
	if ns := s.Namespaces & (Cgroup | Time); ns != 0 {
		add(launch.Op{Phase: "unshare", Call: unix.SYS_UNSHARE, Args: []launch.Arg{launch.Flags(launch.CloneFlags, uint64(ns))},
			Hint: "CONFIG_CGROUPS, CONFIG_TIME_NS"})
	}
	if s.TimeOffset != 0 {
		add(launch.WriteFile("time offsets", "/proc/self/timens_offsets", timeOffsets(s), "see time_namespaces(7)")...)
	}
	if s.Namespaces.Has(UserNS) {
		p.IDMaps = &launch.IDMaps{UID: mapLines(s.UIDMap), GID: mapLines(s.GIDMap), DenySetgroups: s.DenySetgroups}
		add(launch.AwaitMaps()...)
		add(s.become("user namespace root", User{})...)
	}
	if s.Root != nil {
		add(rootOps(s)...)
	}
	if s.Hostname != "" {
		add(launch.Op{Phase: "sethostname", Object: s.Hostname, Call: unix.SYS_SETHOSTNAME,
			Args: []launch.Arg{launch.String(s.Hostname), launch.Number(len(s.Hostname))}})
	}
	if s.Loopback {
		add(loopbackUp()...)
	}
	add(privilegeOps(s)...)
	if dir := s.Dir; dir != "" {
		add(launch.Op{Phase: "chdir", Object: dir, Call: unix.SYS_CHDIR, Args: []launch.Arg{launch.String(dir)}})
	}
	add(launch.Exec(s.Path, append([]string{s.Path}, s.Args...), s.Env)...)
	return p
}

// Credentials clear the parent-death signal (prctl(2)), so it is set again
// after every change of them.
var parentDeathSignal = launch.Op{Phase: "parent-death signal", Call: unix.SYS_PRCTL,
	Args: []launch.Arg{launch.Named(launch.PrctlOptions, unix.PR_SET_PDEATHSIG), launch.Number(unix.SIGKILL), launch.Number(0), launch.Number(0), launch.Number(0)}}

func privilegeOps(s *Spec) []launch.Op {
	var ops []launch.Op
	if s.NoNewPrivs {
		ops = append(ops, launch.Op{Phase: "no_new_privs", Call: unix.SYS_PRCTL,
			Args: []launch.Arg{launch.Named(launch.PrctlOptions, unix.PR_SET_NO_NEW_PRIVS), launch.Number(1), launch.Number(0), launch.Number(0), launch.Number(0)}})
	}
	if s.Capabilities != nil {
		ops = append(ops, dropBounding(*s.Capabilities)...)
	}
	if s.User != nil {
		ops = append(ops, s.become("user", *s.User)...)
	}
	if s.Capabilities != nil {
		keep := *s.Capabilities
		if s.User != nil && s.User.UID != 0 {
			keep = 0 // setresuid away from root cleared them (capabilities(7))
		}
		ops = append(ops, setCapabilities(keep)...)
	}
	changed := s.Capabilities != nil || s.User != nil || s.Namespaces.Has(UserNS)
	if s.DieWithParent && changed {
		ops = append(ops, parentDeathSignal)
	}
	return ops
}

// become sets groups and ids, groups first while that is still allowed.
func (s *Spec) become(phase string, u User) []launch.Op {
	var groups []byte
	for _, g := range u.Groups {
		groups = binary.NativeEndian.AppendUint32(groups, g)
	}
	gid, uid := launch.Number(u.GID), launch.Number(u.UID)
	ops := []launch.Op{
		{Phase: phase, Object: "groups", Call: unix.SYS_SETGROUPS, Args: []launch.Arg{launch.Number(len(u.Groups)), launch.Bytes(string(groups))}},
		{Phase: phase, Object: "gid", Call: unix.SYS_SETRESGID, Args: []launch.Arg{gid, gid, gid}, Hint: "is the gid in the map?"},
		{Phase: phase, Object: "uid", Call: unix.SYS_SETRESUID, Args: []launch.Arg{uid, uid, uid}, Hint: "is the uid in the map?"},
	}
	if s.DenySetgroups {
		ops = ops[1:]
	}
	return ops
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

// loopbackUp sets IFF_UP on lo with the one ioctl that needs no netlink
// (netdevice(7)).
func loopbackUp() []launch.Op {
	const phase = "loopback up"
	var request [40]byte // struct ifreq
	copy(request[:], "lo")
	binary.NativeEndian.PutUint16(request[16:], unix.IFF_UP)
	return []launch.Op{
		{Phase: phase, Call: unix.SYS_SOCKET, Keep: true, Hint: "CONFIG_INET",
			Args: []launch.Arg{launch.Number(unix.AF_INET), launch.Number(unix.SOCK_DGRAM | unix.SOCK_CLOEXEC), launch.Number(0)}},
		{Phase: phase, Call: unix.SYS_IOCTL, Args: []launch.Arg{launch.Kept, launch.Number(unix.SIOCSIFFLAGS), launch.Bytes(string(request[:]))}},
		{Phase: phase, Call: unix.SYS_CLOSE, Args: []launch.Arg{launch.Kept}},
	}
}
