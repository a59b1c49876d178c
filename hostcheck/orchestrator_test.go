package hostcheck

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrchestrator(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  orchestrator
	}{
		{"nothing", nil, orchestrator{maxPods: 110}},
		{"kubeadm and containerd, agreeing", map[string]string{
			"var/lib/kubelet/config.yaml": "apiVersion: kubelet.config.k8s.io/v1beta1\ncgroupDriver: systemd\nmaxPods: 250\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\nfailSwapOn: false\n",
			"etc/containerd/config.toml":  "version = 2\nroot = \"/data/containerd\" # big disk\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  SystemdCgroup = true\n",
			"usr/bin/kubelet":             "", "var/lib/dpkg/status": "Package: kubelet\nVersion: 1.35.1-1.1\n",
		}, orchestrator{kubelet: true, kubeletConfig: kubeletConfigPath, kubeletDriver: "systemd", kubeletMinor: 35, failSwapOn: "false",
			criEndpoint: "unix:///run/containerd/containerd.sock", maxPods: 250, runtimeConfig: "/etc/containerd/config.toml", runtimeDriver: "systemd", dataRoot: "/data/containerd"}},
		{"containerd's default is cgroupfs", map[string]string{
			"var/lib/kubelet/config.yaml": "cgroupDriver: systemd\nfailCgroupV1: true\n", "etc/containerd/config.toml": "version = 3\n# SystemdCgroup = true\n",
		}, orchestrator{kubelet: true, kubeletConfig: kubeletConfigPath, kubeletDriver: "systemd", failCgroupV1: "true", maxPods: 110,
			runtimeConfig: "/etc/containerd/config.toml", runtimeDriver: "cgroupfs"}},
		{"CRI-O", map[string]string{"etc/crio/crio.conf.d/10.conf": "[crio.runtime]\ncgroup_manager = \"cgroupfs\"\n"},
			orchestrator{maxPods: 110, runtimeConfig: "/etc/crio/crio.conf.d/10.conf", runtimeDriver: "cgroupfs"}},
		{"Docker", map[string]string{"etc/docker/daemon.json": `{"data-root":"/srv/docker","exec-opts":["native.cgroupdriver=systemd"]}`},
			orchestrator{maxPods: 110, runtimeConfig: "/etc/docker/daemon.json", runtimeDriver: "systemd", dataRoot: "/srv/docker"}},
		{"files of garbage", map[string]string{"var/lib/kubelet/config.yaml": "\t{[", "etc/docker/daemon.json": "{", "etc/containerd/config.toml": "=\n[\n"},
			orchestrator{kubelet: true, kubeletConfig: kubeletConfigPath, maxPods: 110, runtimeConfig: "/etc/containerd/config.toml", runtimeDriver: "cgroupfs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			got := readOrchestrator(tree(root))
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(orchestrator{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzOrchestrator(f *testing.F) {
	f.Add([]byte("cgroupDriver: systemd\nmaxPods: 250\n"), "[a.\"b\"]\nroot = 'x' # y\n")
	f.Fuzz(func(t *testing.T, kubelet []byte, toml string) {
		var o orchestrator
		o.parseKubelet(kubelet)
		tomlKeys(toml)
	})
}
