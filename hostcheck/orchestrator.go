package hostcheck

import (
	"debug/buildinfo"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// orchestrator is how the kubelet and the container runtime are configured.
type orchestrator struct {
	kubelet       bool   // installed or configured
	kubeletConfig string // path of its configuration, "" if there is none
	kubeletDriver string // cgroupDriver, "" if not set
	kubeletMinor  int    // of its version 1.N, 0 if unknown
	failCgroupV1  string // "true", "false", "" if not set
	failSwapOn    string
	criEndpoint   string
	maxPods       int

	runtimeConfig string // path of containerd's, CRI-O's or Docker's configuration
	runtimeDriver string // "systemd" or "cgroupfs"
	dataRoot      string
}

const kubeletConfigPath = "/var/lib/kubelet/config.yaml"

// defaultMaxPods is the kubelet's (KubeletConfiguration v1beta1).
const defaultMaxPods = 110

func readOrchestrator(t tree) orchestrator {
	o := orchestrator{maxPods: defaultMaxPods}
	o.readKubelet(t)
	o.readContainerd(t)
	if o.runtimeConfig == "" {
		o.readCRIO(t)
	}
	if o.runtimeConfig == "" {
		o.readDocker(t)
	}
	return o
}

func (o *orchestrator) readKubelet(t tree) {
	program := findTool(t, "kubelet")
	text := t.text(kubeletConfigPath)
	o.kubelet = program != "" || text != ""
	if program != "" {
		o.kubeletMinor = kubeletMinor(t, program)
	}
	if text != "" {
		o.kubeletConfig = kubeletConfigPath
		o.parseKubelet([]byte(text))
	}
}

// parseKubelet takes what matters here of a KubeletConfiguration; a file that
// is not YAML leaves everything unset.
func (o *orchestrator) parseKubelet(text []byte) {
	var c struct {
		CgroupDriver             string `yaml:"cgroupDriver"`
		FailCgroupV1             *bool  `yaml:"failCgroupV1"`
		FailSwapOn               *bool  `yaml:"failSwapOn"`
		MaxPods                  int    `yaml:"maxPods"`
		ContainerRuntimeEndpoint string `yaml:"containerRuntimeEndpoint"`
	}
	if yaml.Unmarshal(text, &c) != nil {
		return
	}
	set := func(b *bool) string {
		if b == nil {
			return ""
		}
		return strconv.FormatBool(*b)
	}
	o.kubeletDriver, o.criEndpoint = c.CgroupDriver, c.ContainerRuntimeEndpoint
	o.failCgroupV1, o.failSwapOn = set(c.FailCgroupV1), set(c.FailSwapOn)
	if c.MaxPods > 0 {
		o.maxPods = c.MaxPods
	}
}

var gitVersion = regexp.MustCompile(`gitVersion=v1\.(\d+)`)

// kubeletMinor reads the version from the package's record, else from the
// linker flags that the Go program carries.
func kubeletMinor(t tree, program string) int {
	if v := packageVersions(t)["kubelet"]; v != "" {
		if parts := strings.Split(v, "."); len(parts) > 1 && parts[0] == "1" {
			n, _ := strconv.Atoi(parts[1])
			return n
		}
	}
	info, err := buildinfo.ReadFile(t.path(program))
	if err != nil {
		return 0
	}
	for _, s := range info.Settings {
		if m := gitVersion.FindStringSubmatch(s.Value); s.Key == "-ldflags" && m != nil {
			n, _ := strconv.Atoi(m[1])
			return n
		}
	}
	return 0
}

// readContainerd looks for the driver of the runc handler and the root
// directory. Containerd's default driver is cgroupfs
// (docs/cri/config.md, SystemdCgroup).
func (o *orchestrator) readContainerd(t tree) {
	const path = "/etc/containerd/config.toml"
	text := t.text(path)
	if text == "" {
		if findTool(t, "containerd") == "" || !o.kubelet {
			return
		}
		o.runtimeConfig, o.runtimeDriver, o.dataRoot = path, "cgroupfs", "/var/lib/containerd"
		return
	}
	o.runtimeConfig, o.runtimeDriver = path, "cgroupfs"
	keys := tomlKeys(text)
	for k, v := range keys {
		if strings.HasSuffix(k, ".SystemdCgroup") && v == "true" {
			o.runtimeDriver = "systemd"
		}
	}
	o.dataRoot = keys["root"]
}

func (o *orchestrator) readCRIO(t tree) {
	paths := append([]string{"/etc/crio/crio.conf"}, t.glob("/etc/crio/crio.conf.d/*.conf")...)
	for _, path := range paths {
		text := t.text(path)
		if text == "" {
			continue
		}
		o.runtimeConfig = path
		if v := tomlKeys(text)["crio.runtime.cgroup_manager"]; v != "" {
			o.runtimeDriver = v
		}
	}
	if o.runtimeConfig != "" && o.runtimeDriver == "" {
		o.runtimeDriver = "systemd" // CRI-O's default
	}
}

// readDocker takes the driver from daemon.json; without one dockerd chooses
// systemd where that runs and the host is cgroup v2.
func (o *orchestrator) readDocker(t tree) {
	const path = "/etc/docker/daemon.json"
	var c struct {
		ExecOpts []string `json:"exec-opts"`
		DataRoot string   `json:"data-root"`
	}
	if text := t.text(path); text == "" || json.Unmarshal([]byte(text), &c) != nil {
		return
	}
	o.runtimeConfig, o.dataRoot = path, c.DataRoot
	for _, opt := range c.ExecOpts {
		if v, ok := strings.CutPrefix(opt, "native.cgroupdriver="); ok {
			o.runtimeDriver = v
		}
	}
}

// tomlKeys flattens the scalar settings of a TOML file to dotted keys. It
// reads the subset that these files are written in, one setting a line; what
// it does not understand it leaves out, which a strict reader could not.
func tomlKeys(text string) map[string]string {
	keys := map[string]string{}
	table := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "["):
			name, _, _ := strings.Cut(strings.TrimLeft(line, "["), "]")
			table = strings.ReplaceAll(strings.ReplaceAll(name, `"`, ""), "'", "") + "."
		case line != "" && line[0] != '#':
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				continue
			}
			keys[table+strings.TrimSpace(key)] = tomlScalar(value)
		}
	}
	return keys
}

// tomlScalar is a string without its quotes, or a bare word without a comment.
func tomlScalar(value string) string {
	value = strings.TrimSpace(value)
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : 1+end]
		}
	}
	value, _, _ = strings.Cut(value, "#")
	return strings.TrimSpace(value)
}

// dataDirectory is where the engine of a use keeps its containers.
func dataDirectory(t tree, u Use) string {
	o := orchestrator{}
	switch u {
	case "containerd", "kubernetes":
		o.readContainerd(t)
		if o.dataRoot != "" {
			return o.dataRoot
		}
		return "/var/lib/containerd"
	case "podman":
		return "/var/lib/containers/storage"
	case "podman-rootless":
		return homeDirectory() + "/.local/share/containers/storage"
	case "lxc":
		return "/var/lib/lxc"
	case "bench":
		return "."
	}
	o.readDocker(t)
	if o.dataRoot != "" {
		return o.dataRoot
	}
	return "/var/lib/docker"
}
