package isolate

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/network"
	"plimsoll/isolate/seccomp"
)

// Spec says what a container is. The zero value of a field adds nothing, so
// that a Spec with only a Path is a bare process.
type Spec struct {
	Path string   // absolute, inside the root
	Args []string // after argv[0], which is Path
	Env  []string
	Dir  string // working directory inside the root; "" leaves the caller's, or "/" with a Root

	Stdin, Stdout, Stderr *os.File // nil is /dev/null

	Namespaces Namespaces
	UIDMap     []IDMap // of a user namespace; needed with User
	GIDMap     []IDMap

	// DenySetgroups gives up supplementary groups in the user namespace: what
	// the kernel wants of an unprivileged user who maps a gid.
	DenySetgroups bool

	// MapHelpers write the maps of an ordinary user, who may write no more than
	// one id himself: see FindIDs.
	MapHelpers [2]string

	TimeOffset time.Duration // of CLOCK_MONOTONIC and CLOCK_BOOTTIME in a time namespace

	Root     *Root // nil is the host's own
	Mounts   []Mount
	Proc     bool // mount /proc
	Sys      bool // mount /sys, read-only
	Dev      bool // make a minimal /dev: null, zero, full, random, urandom, tty, ptmx, pts, shm
	Hostname string
	Loopback bool // bring lo up in a network namespace

	Network *network.Attachment // to a bridge, from the container's network namespace; nil is none

	MaskedPaths   []string // where nothing is to be read; a directory ends in /. Needs Dev
	ReadOnlyPaths []string

	NoNewPrivs   bool
	Capabilities *Capabilities   // nil leaves them as they are
	User         *User           // nil stays what the harness is, or root of a user namespace
	Seccomp      *seccomp.Filter // system calls that are refused; needs NoNewPrivs

	NewSession    bool // setsid, as a container host does; autogroup scheduling makes it cost some 15 µs
	NewGroup      bool // setpgid: out of the reach of Ctrl-C at the harness's terminal
	DieWithParent bool // killed when the thread that started it ends

	// Group names the container's cgroup below the run's; "" is the run's
	// group of bare processes, which has no limits.
	Group   string
	Limits  cgroup.Limits
	Account []cgroup.Controller // usage to keep besides that of the limits' controllers

	keptAt map[string]uint64 // by read-only path: see keepMountFlags

	NoStamps   bool // do not time the phases of the start
	CopyMemory bool // start with a copy of the harness's memory: see launch.Program
}

// Root is the container's root file system.
type Root struct {
	Path     string // directory that becomes the root; with Overlay, where it is mounted
	Overlay  *Overlay
	ReadOnly bool

	kept uint64 // flags that a remount must not drop: see keepMountFlags
}

// Overlay is a union mount: see the kernel's overlayfs.rst.
type Overlay struct {
	Lower       []string // top layer first
	Upper, Work string   // empty for a read-only root
	UserXattr   bool     // keep its marks in user.* attributes: for a mount by an unprivileged user
}

// Mount is a further mount. Source is a path of the host and is bound, unless
// Type names a file system.
type Mount struct {
	Type     string // "" is a bind mount; "tmpfs"
	Source   string
	Target   string // absolute, inside the root
	Options  string // of the file system
	ReadOnly bool

	kept uint64 // as Root's
}

// IDMap is a line of a user namespace's map: Size ids from Container on stand
// for those from Host on.
type IDMap struct{ Container, Host, Size uint32 }

// User is whom the program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// Namespaces is a set of CLONE_NEW flags.
type Namespaces uint64

const (
	PID     Namespaces = unix.CLONE_NEWPID
	Mnt     Namespaces = unix.CLONE_NEWNS
	UTS     Namespaces = unix.CLONE_NEWUTS
	IPC     Namespaces = unix.CLONE_NEWIPC
	Net     Namespaces = unix.CLONE_NEWNET
	Cgroup  Namespaces = unix.CLONE_NEWCGROUP
	UserNS  Namespaces = unix.CLONE_NEWUSER
	Time    Namespaces = unix.CLONE_NEWTIME
	AllSix             = PID | Mnt | UTS | IPC | Net | Cgroup
	allKnow            = AllSix | UserNS | Time
)

// Has reports whether all of those namespaces are in the set.
func (n Namespaces) Has(those Namespaces) bool { return n&those == those }

// Validate refuses what cannot be made, naming every field at fault.
func (s *Spec) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	needs := func(field string, set bool, ns Namespaces, name string) {
		if set && !s.Namespaces.Has(ns) {
			bad("%s: needs a %s namespace", field, name)
		}
	}
	if !path.IsAbs(s.Path) {
		bad("path %q: must be absolute", s.Path)
	}
	if s.Namespaces&^allKnow != 0 {
		bad("namespaces %#x: unknown bits %#x", uint64(s.Namespaces), uint64(s.Namespaces&^allKnow))
	}
	needs("root", s.Root != nil, Mnt, "mount")
	needs("mounts", len(s.Mounts) > 0, Mnt, "mount")
	needs("proc", s.Proc, Mnt|PID, "mount and a pid")
	needs("sys", s.Sys, Mnt, "mount")
	needs("dev", s.Dev, Mnt, "mount")
	needs("hostname", s.Hostname != "", UTS, "uts")
	needs("loopback", s.Loopback, Net, "network")
	needs("network", s.Network != nil, Net, "network")
	needs("time offset", s.TimeOffset != 0, Time, "time")
	needs("uid map", len(s.UIDMap)+len(s.GIDMap) > 0, UserNS, "user")
	if s.Namespaces.Has(UserNS) && (len(s.UIDMap) == 0 || len(s.GIDMap) == 0) {
		bad("user namespace: needs a uid and a gid map")
	}
	if s.Root == nil && (s.Proc || s.Sys || s.Dev || len(s.Mounts) > 0) {
		bad("mounts: need a root of the container's own; nothing is mounted over the host's")
	}
	if len(s.MaskedPaths) > 0 && !s.Dev {
		bad("masked paths: need dev, whose null device is bound over them")
	}
	if len(s.ReadOnlyPaths) > 0 && s.Root == nil {
		bad("read-only paths: need a root of the container's own")
	}
	for _, p := range slices.Concat(s.MaskedPaths, s.ReadOnlyPaths) {
		if clean := strings.TrimSuffix(p, "/"); !path.IsAbs(clean) || path.Clean(clean) != clean {
			bad("masked or read-only path %q: must be a clean absolute path below /", p)
		}
	}
	if s.Seccomp != nil && !s.NoNewPrivs {
		bad("seccomp: needs no_new_privs: a set-uid program under a filter that it does not know may be made to misbehave (seccomp(2))")
	}
	if len(s.Hostname) > 64 {
		bad("hostname %q: longer than 64 bytes", s.Hostname)
	}
	if s.Root != nil {
		if err := s.Root.validate(); err != nil {
			bad("root: %w", err)
		}
	}
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" {
			bad("mount target %q: must be a clean absolute path below /", m.Target)
		}
		if m.Type == "" && !filepath.IsAbs(m.Source) {
			bad("mount source %q: must be absolute", m.Source)
		}
	}
	if s.Group == "" && (s.Limits.Any() || len(s.Account) > 0) {
		bad("limits: need a group of the container's own")
	}
	if err := s.Limits.Validate(); err != nil {
		bad("limits: %w", err)
	}
	return errors.Join(errs...)
}

func (r *Root) validate() error {
	if !filepath.IsAbs(r.Path) {
		return fmt.Errorf("path %q: must be absolute", r.Path)
	}
	o := r.Overlay
	if o == nil {
		return nil
	}
	if len(o.Lower) == 0 {
		return errors.New("overlay without a lower directory")
	}
	if (o.Upper == "") != (o.Work == "") {
		return errors.New("overlay: upper and work directory go together")
	}
	if o.Upper == "" && len(o.Lower) < 2 {
		return errors.New("overlay without an upper directory: needs two lower ones")
	}
	for _, dir := range append([]string{o.Upper, o.Work}, o.Lower...) {
		if dir != "" && !filepath.IsAbs(dir) {
			return fmt.Errorf("overlay directory %q: must be absolute", dir)
		}
	}
	if n := len(o.Options()); n >= unix.Getpagesize() {
		return fmt.Errorf("overlay: %d bytes of mount options, mount(2) takes less than a page (%d): use fewer layers or shorter paths", n, unix.Getpagesize())
	}
	return nil
}

// Options is the data of mount(2). Overlayfs splits it at commas and, in
// lowerdir, at colons, unless a backslash stands before.
func (o *Overlay) Options() string {
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `:`, `\:`).Replace
	lower := make([]string, len(o.Lower))
	for i, dir := range o.Lower {
		lower[i] = escape(dir)
	}
	opts := "lowerdir=" + strings.Join(lower, ":")
	if o.Upper != "" {
		escape = strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace
		opts += ",upperdir=" + escape(o.Upper) + ",workdir=" + escape(o.Work)
	}
	if o.UserXattr {
		opts += ",userxattr"
	}
	return opts
}
