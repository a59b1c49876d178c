package hostcheck

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"plimsoll/hostcheck/kconfig"
	"plimsoll/hostcheck/probe"
)

// pretend makes a host of files and of answers that were not asked for.
func pretend(t *testing.T, files map[string]string) *host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := &host{tree: tree(root), privileged: true, contained: "none", release: "6.1.0"}
	h.version, _ = kconfig.ParseVersion(h.release)
	h.config = func() (*kconfig.Config, error) { return nil, errors.New("none") }
	h.modules = func() *kconfig.Modules { return &kconfig.Modules{} }
	h.orchestrator = func() orchestrator { return orchestrator{} }
	return h
}

func TestControllers(t *testing.T) {
	v1 := map[string]controller{"memory": {v1: "/sys/fs/cgroup/memory", known: true}}
	v2 := map[string]controller{"memory": {v2: true, known: true}}
	for _, tt := range []struct {
		name        string
		hierarchies hierarchies
		leaf        leafAnswer
		want        Answer
		detail      string
	}{
		{"set and read back", hierarchies{controllers: v1}, leafAnswer{tried: true, path: "/sys/fs/cgroup/memory", values: map[string]string{"memory.limit_in_bytes": "1073741824"}}, Yes, "on v1"},
		{"an ordinary user", hierarchies{controllers: v1}, leafAnswer{tried: true, err: unix.EACCES}, CannotTell, "no cgroup could be made"},
		{"a read-only mount, as in a container", hierarchies{controllers: v1}, leafAnswer{tried: true, err: unix.EROFS}, CannotTell, "no cgroup could be made"},
		{"refused though it is there", hierarchies{controllers: v1}, leafAnswer{tried: true, refused: map[string]error{"memory.limit_in_bytes": unix.EPERM}}, CannotTell, "permission was refused"},
		{"a limit that the kernel does not take", hierarchies{controllers: v1}, leafAnswer{tried: true, refused: map[string]error{"memory.limit_in_bytes": unix.EINVAL}}, No, "EINVAL"},
		{"v2, not enabled for children", hierarchies{v2: "/sys/fs/cgroup", controllers: v2}, leafAnswer{tried: true, path: "/sys/fs/cgroup", missing: []string{"memory.max"}}, Yes, "whoever makes cgroups enables it"},
		{"an interface file is missing", hierarchies{controllers: v1}, leafAnswer{tried: true, missing: []string{"memory.limit_in_bytes"}}, Partly, "has no memory.limit_in_bytes"},
		{"cgroup_disable=memory, as on a Raspberry Pi", hierarchies{v2: "/sys/fs/cgroup", controllers: map[string]controller{"memory": {known: true, disabled: true}}}, leafAnswer{}, No, "cgroup_disable=memory"},
		{"built in, mounted nowhere", hierarchies{controllers: map[string]controller{"memory": {known: true}, "cpu": {v1: "/x", known: true}}}, leafAnswer{}, Partly, "mounted on no hierarchy"},
		{"not built in", hierarchies{controllers: map[string]controller{"cpu": {v1: "/x", known: true}}}, leafAnswer{}, No, "the kernel has no controller memory"},
	} {
		h := pretend(t, nil)
		h.hierarchies = tt.hierarchies
		h.leaves = func() map[string]leafAnswer { return map[string]leafAnswer{"memory": tt.leaf} }
		o := h.controller("memory")
		if o.Answer != tt.want || !strings.Contains(o.Detail, tt.detail) || len(o.Evidence) == 0 {
			t.Errorf("%s: %s: %q, evidence %v; want %s: %q", tt.name, o.Answer, o.Detail, o.Evidence, tt.want, tt.detail)
		}
	}
}

func TestUserNamespaceBlockers(t *testing.T) {
	refusedAt := func(name string, err error) []probe.UserStage {
		return []probe.UserStage{{Name: "unshare(CLONE_NEWUSER)"}, {Name: name, Err: err}}
	}
	create := func(err error) []probe.UserStage {
		return []probe.UserStage{{Name: "unshare(CLONE_NEWUSER)", Err: err}}
	}
	for _, tt := range []struct {
		name    string
		files   map[string]string
		cmdline string
		stages  []probe.UserStage
		want    Answer
		detail  string
	}{
		{"works", nil, "", create(nil), Yes, "full capabilities"},
		{"the sysctl of Debian's old kernels", map[string]string{"proc/sys/kernel/unprivileged_userns_clone": "0"}, "", create(unix.EPERM), No, "kernel.unprivileged_userns_clone is 0"},
		{"none allowed", map[string]string{"proc/sys/user/max_user_namespaces": "0"}, "", create(unix.ENOSPC), No, "user.max_user_namespaces is 0"},
		{"Ubuntu 24.04: made, and powerless", map[string]string{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, "", refusedAt("mount(/, MS_PRIVATE) in it", unix.EACCES), No, "mount(/, MS_PRIVATE) in it answered EACCES: AppArmor restricts them"},
		{"not built in", nil, "", create(unix.EINVAL), No, "the kernel has none"},
		{"RHEL 7's boot parameter", nil, "user_namespace.enable=0", create(unix.EINVAL), No, "user_namespace.enable=0"},
		{"refused by nothing that can be seen", nil, "", create(unix.EPERM), CannotTell, "permission was refused"},
		{"root in a user namespace of one id", nil, "", []probe.UserStage{{Name: probe.StageDrop, Err: unix.EINVAL}}, CannotTell, "another user"},
	} {
		h := pretend(t, tt.files)
		h.cmdline = tt.cmdline
		h.userStages = func() []probe.UserStage { return tt.stages }
		o := userNamespaces(h)
		if o.Answer != tt.want || !strings.Contains(o.Detail, tt.detail) {
			t.Errorf("%s: %s: %q; want %s: %q", tt.name, o.Answer, o.Detail, tt.want, tt.detail)
		}
	}
}

func TestReadyLoadsNothing(t *testing.T) {
	config := func(value string) func() (*kconfig.Config, error) {
		return func() (*kconfig.Config, error) {
			return &kconfig.Config{Source: "/proc/config.gz", Values: map[string]string{"VXLAN": value}}, nil
		}
	}
	none := func() (*kconfig.Config, error) { return nil, errors.New("none") }
	there := &kconfig.Modules{Files: map[string]string{"vxlan": "kernel/drivers/net/vxlan/vxlan.ko"}, Builtin: map[string]bool{"ext4": true}}
	others := &kconfig.Modules{Files: map[string]string{"overlay": "x"}, Builtin: map[string]bool{"ext4": true}}
	blocked := &kconfig.Modules{Files: there.Files, Blocked: map[string]string{"vxlan": "blacklisted in /etc/modprobe.d/x.conf"}}
	for _, tt := range []struct {
		name      string
		files     map[string]string
		config    func() (*kconfig.Config, error)
		modules   *kconfig.Modules
		load      bool
		contained string
		try       bool
		want      Answer
	}{
		{"a kernel without modules: nothing can be loaded", nil, none, others, false, "none", true, ""},
		{"loaded", map[string]string{"proc/modules": "", "sys/module/vxlan/refcnt": "0"}, none, others, false, "none", true, ""},
		{"built in", map[string]string{"proc/modules": ""}, config("y"), others, false, "none", true, ""},
		{"its file is there", map[string]string{"proc/modules": ""}, config("m"), there, false, "none", false, Yes},
		{"its file is there, and --load", map[string]string{"proc/modules": ""}, config("m"), there, true, "none", true, ""},
		{"blacklisted", map[string]string{"proc/modules": ""}, config("m"), blocked, false, "none", false, No},
		{"=m and no file: Ubuntu's linux-modules-extra is not installed", map[string]string{"proc/modules": ""}, config("m"), others, false, "none", false, No},
		{"=m and no file, seen from a container", map[string]string{"proc/modules": ""}, config("m"), &kconfig.Modules{}, false, "docker", false, CannotTell},
		{"off", map[string]string{"proc/modules": ""}, config("n"), others, false, "none", false, No},
		{"no configuration, and the index has it not", map[string]string{"proc/modules": ""}, none, others, false, "none", false, No},
		{"no configuration and no index", map[string]string{"proc/modules": ""}, none, &kconfig.Modules{}, false, "none", false, CannotTell},
	} {
		h := pretend(t, tt.files)
		h.config, h.contained, h.opt.Load = tt.config, tt.contained, tt.load
		h.modules = func() *kconfig.Modules { return tt.modules }
		o, try := h.ready("VXLAN", "vxlan")
		if try != tt.try || !try && o.Answer != tt.want {
			t.Errorf("%s: try %v, answer %s (%s); want %v, %s", tt.name, try, o.Answer, o.Detail, tt.try, tt.want)
		}
	}
}

func TestKubelet(t *testing.T) {
	hybrid := hierarchies{v2: "/sys/fs/cgroup/unified", controllers: map[string]controller{"cpu": {v1: "/sys/fs/cgroup/cpu"}}}
	for _, tt := range []struct {
		name   string
		layout hierarchies
		o      orchestrator
		v1     Answer
		driver Answer
	}{
		{"not installed, on v2", hierarchies{v2: "/sys/fs/cgroup"}, orchestrator{}, Yes, NotRelevant},
		{"not installed, hybrid", hybrid, orchestrator{}, Partly, NotRelevant},
		{"1.34 on a hybrid host", hybrid, orchestrator{kubelet: true, kubeletMinor: 34, kubeletDriver: "systemd", runtimeDriver: "systemd"}, Partly, Yes},
		{"1.35 refuses", hybrid, orchestrator{kubelet: true, kubeletMinor: 35, kubeletDriver: "systemd", runtimeDriver: "cgroupfs"}, No, No},
		{"1.35 told not to", hybrid, orchestrator{kubelet: true, kubeletMinor: 35, failCgroupV1: "false"}, Partly, CannotTell},
		{"1.33 told to refuse", hybrid, orchestrator{kubelet: true, kubeletMinor: 33, failCgroupV1: "true", runtimeDriver: "cgroupfs"}, No, Yes},
		{"of unknown version", hybrid, orchestrator{kubelet: true, runtimeDriver: "systemd"}, CannotTell, No},
		{"1.31 asks the runtime", hierarchies{v2: "/sys/fs/cgroup"}, orchestrator{kubelet: true, kubeletMinor: 31, runtimeDriver: "systemd"}, Yes, Partly},
	} {
		h := pretend(t, map[string]string{"proc/1/comm": "init"})
		h.hierarchies = tt.layout
		h.orchestrator = func() orchestrator { return tt.o }
		if o := kubeletCgroupV1(h); o.Answer != tt.v1 {
			t.Errorf("%s, cgroup v1: %s (%s), want %s", tt.name, o.Answer, o.Detail, tt.v1)
		}
		if o := cgroupDriver(h); o.Answer != tt.driver {
			t.Errorf("%s, cgroup driver: %s (%s), want %s", tt.name, o.Answer, o.Detail, tt.driver)
		}
	}
}

func TestPacketFilterNeedsOneWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		net  probe.Net
		want Answer
	}{
		{"nft alone", probe.Net{IPTables: map[string]error{"filter": unix.ENOPROTOOPT, "nat": unix.ENOPROTOOPT}}, Yes},
		{"legacy alone", probe.Net{Nft: unix.EPROTONOSUPPORT, NftNAT: unix.EPROTONOSUPPORT, IPTables: map[string]error{"filter": nil, "nat": nil}}, Yes},
		{"nft without nat, and no legacy", probe.Net{NftNAT: unix.ENOENT, IPTables: map[string]error{"filter": unix.ENOPROTOOPT, "nat": unix.ENOPROTOOPT}}, No},
		{"both refused", probe.Net{Nft: unix.EPERM, NftNAT: unix.EPERM, IPTables: map[string]error{"filter": unix.EPERM, "nat": unix.EPERM}}, CannotTell},
		{"no network namespace to try it in", probe.Net{Namespace: unix.EPERM}, CannotTell},
	} {
		h := pretend(t, nil)
		h.network = func() probe.Net { return tt.net }
		if o := packetFilter(h); o.Answer != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, o.Answer, o.Detail, tt.want)
		}
	}
}
