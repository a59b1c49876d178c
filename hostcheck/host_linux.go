package hostcheck

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/kconfig"
	"plimsoll/hostcheck/probe"
)

// host is the host under examination: what is known of it at once, and, each
// made at most once, the questions that several checks share.
type host struct {
	tree
	opt          Options
	release      string
	version      kconfig.Version
	status       string // /proc/self/status
	privileged   bool   // CAP_SYS_ADMIN
	seccomp      bool   // a filter may answer in the kernel's place
	contained    string // the container we are in, "none"
	hierarchies  hierarchies
	mounts       []mount
	cmdline      string
	filesystems  string // /proc/filesystems
	dir          string // data directory, or its nearest existing ancestor
	config       func() (*kconfig.Config, error)
	modules      func() *kconfig.Modules
	namespaces   func() map[string]error
	userStages   func() []probe.UserStage
	network      func() probe.Net
	scratch      func() scratchAnswers
	leaves       func() map[string]leafAnswer
	orchestrator func() orchestrator
	limits       func() []Limit
	cleanup      sync.WaitGroup // what is being taken away again
}

func newHost(opt Options) *host {
	t := tree("/")
	h := &host{
		tree:        t,
		opt:         opt,
		release:     t.text("/proc/sys/kernel/osrelease"),
		status:      t.text("/proc/self/status"),
		hierarchies: readHierarchies(t),
		mounts:      mounts(t),
		cmdline:     t.text("/proc/cmdline"),
		filesystems: t.text("/proc/filesystems"),
		contained:   container(t),
	}
	h.version, _ = kconfig.ParseVersion(h.release)
	caps, _ := strconv.ParseUint(field(h.status, "CapEff"), 16, 64)
	h.privileged = caps&(1<<unix.CAP_SYS_ADMIN) != 0
	h.seccomp = field(h.status, "Seccomp") == "2"
	h.dir = existing(cmp.Or(opt.Dir, dataDirectory(t, opt.Use)))
	h.config = sync.OnceValues(func() (*kconfig.Config, error) { return kconfig.Find(string(t), h.release) })
	h.modules = sync.OnceValue(h.readModules)
	h.namespaces = sync.OnceValue(func() map[string]error { return probe.Namespaces(h.privileged) })
	h.userStages = sync.OnceValue(func() []probe.UserStage { return probe.UserNamespace(os.Geteuid() == 0) })
	h.network = sync.OnceValue(h.tryNetwork)
	h.scratch = sync.OnceValue(h.tryDirectory)
	h.leaves = sync.OnceValue(h.tryLeaves)
	h.orchestrator = sync.OnceValue(func() orchestrator { return readOrchestrator(t) })
	h.limits = sync.OnceValue(func() []Limit { return readLimits(t) })
	return h
}

// prefetch starts the slow questions side by side.
func (h *host) prefetch() {
	go h.network()
	go h.scratch()
	go h.config()
	go h.leaves()
	go h.userStages()
}

// existing is path or its nearest ancestor that exists, absolute and without
// symbolic links, as /proc/self/mountinfo knows it.
func existing(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return "/"
	}
	for ; path != "/"; path = filepath.Dir(path) {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
	}
	return path
}

func (h *host) readModules() *kconfig.Modules {
	m := &kconfig.Modules{}
	m.ReadCmdline(h.cmdline)
	if h.text("/proc/sys/kernel/modules_disabled") == "1" {
		m.Sealed = "kernel.modules_disabled is 1, until the next boot"
	}
	read := func(path string, take func(f *os.File)) {
		if f, err := os.Open(path); err == nil {
			take(f)
			f.Close()
		}
	}
	dir := "/lib/modules/" + h.release
	read("/proc/modules", func(f *os.File) { m.ReadLoaded(f) })
	read(dir+"/modules.dep", func(f *os.File) { m.ReadDep(f) })
	read(dir+"/modules.builtin", func(f *os.File) { m.ReadBuiltin(f) })
	for _, pattern := range []string{"/usr/lib/modprobe.d/*.conf", "/lib/modprobe.d/*.conf", "/run/modprobe.d/*.conf", "/etc/modprobe.d/*.conf"} {
		for _, p := range h.glob(pattern) {
			read(p, func(f *os.File) { m.ReadModprobe(f, p) })
		}
	}
	return m
}

// ready says whether something that may live in a module can be tried without
// the kernel loading that module: it asks for modules by itself, through
// modprobe, and that would be a side effect. If not, the outcome is the
// answer.
func (h *host) ready(option, module string) (Outcome, bool) {
	module = kconfig.ModuleName(module)
	if h.opt.Load || h.exists("/sys/module/"+module) || !h.exists("/proc/modules") {
		return Outcome{}, true
	}
	config, _ := h.config()
	if config != nil && config.Value(option) == "y" {
		return Outcome{}, true
	}
	switch availability, why := h.modules().Of(module); availability {
	case kconfig.Loaded, kconfig.Builtin:
		return Outcome{}, true
	case kconfig.Loadable:
		return yes("available, not loaded", file("/lib/modules/"+h.release+"/modules.dep", why)), false
	case kconfig.Forbidden:
		return no("module "+module+" may not be loaded: "+why, file("modules", why)), false
	}
	if m := h.modules(); config == nil && len(m.Files) > 0 && len(m.Builtin) > 0 {
		return no("the kernel has none: "+module+" is neither built in nor among its modules",
			file("/lib/modules/"+h.release+"/modules.dep", "no "+module), file("/lib/modules/"+h.release+"/modules.builtin", "no "+module)).withFix(
			"install the package with the rest of this kernel's modules (on Ubuntu linux-modules-extra-$(uname -r)), then: modprobe " + module), false
	}
	if config == nil {
		return cannotTell("trying would make the kernel load "+module+", and neither its file nor the kernel's configuration can be read",
			file("/lib/modules/"+h.release, "")).withFix("run with --load, or as root where /lib/modules is"), false
	}
	if config.Value(option) == "m" {
		return h.moduleGone(option, module), false
	}
	return no("CONFIG_"+option+" is off", file(config.Source, "CONFIG_"+option+" is "+valueShown(config.Value(option)))), false
}

func (h *host) moduleGone(option, module string) Outcome {
	ev := file("/lib/modules/"+h.release+"/modules.dep", "no "+module)
	if h.contained != "none" {
		return cannotTell("CONFIG_"+option+" is a module, and the host's modules cannot be seen from within a container", ev)
	}
	return no("CONFIG_"+option+" is a module, and its file is not there", ev).withFix(
		"install the package with the rest of this kernel's modules (on Ubuntu linux-modules-extra-$(uname -r)), then: modprobe " + module)
}

// fromErrno turns what a system call answered into an outcome. A refusal for
// want of permission is never taken for absence.
func (h *host) fromErrno(name string, err error, good string) Outcome {
	ev := call(name, err)
	switch {
	case err == nil:
		return yes(good, ev)
	case errors.Is(err, fs.ErrPermission): // EPERM and EACCES
		return cannotTell(h.refusal(), ev).withFix(h.howToKnow())
	case errors.Is(err, unix.ENOSYS) && h.seccomp:
		return cannotTell("a seccomp filter is in force, and may have answered in the kernel's place", ev).withFix("run it outside the container")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return no("a limit is reached or is zero (sysctl user.max_*_namespaces)", ev).withFix("sysctl -a | grep ^user.max")
	}
	return no("the kernel answered "+errnoName(err), ev)
}

// refusal says what may have refused.
func (h *host) refusal() string {
	var by []string
	if !h.privileged {
		by = append(by, "we lack CAP_SYS_ADMIN")
	}
	if h.seccomp {
		by = append(by, "a seccomp filter is in force")
	}
	if h.contained != "none" && h.contained != "" {
		by = append(by, "we are in a container ("+h.contained+")")
	}
	if lsm := h.text("/sys/kernel/security/lsm"); lsm != "" {
		for _, name := range []string{"apparmor", "selinux", "lockdown", "tomoyo", "smack"} {
			if slices.Contains(strings.Split(lsm, ","), name) && !(name == "lockdown" && chosen(h.text("/sys/kernel/security/lockdown")) == "none") {
				by = append(by, name+" is active")
			}
		}
	}
	if len(by) == 0 {
		return "permission was refused"
	}
	return "permission was refused: " + strings.Join(by, ", ")
}

func (h *host) howToKnow() string {
	if h.contained != "none" {
		return "run it on the host, outside the container"
	}
	if os.Geteuid() != 0 {
		return "run it as root: sudo checkconfig"
	}
	return ""
}

// hasFS reports whether the kernel knows a file system type already.
func (h *host) hasFS(name string) bool {
	for line := range strings.Lines(h.filesystems) {
		if strings.TrimSpace(strings.TrimPrefix(line, "nodev")) == name {
			return true
		}
	}
	return false
}
