package hostcheck

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"time"

	"plimsoll/hostcheck/probe"
)

// Kubernetes and containerd as they are configured here. Where none is
// installed, every one of these is skipped.

func kubernetesChecks() []Check {
	k := need("--R----")
	rec := need("--r----")
	return []Check{
		{ID: "k8s.cgroup-driver", Group: "kubernetes", Title: "kubelet and runtime agree on the cgroup driver", Why: "two managers of one tree undo each other's limits", Needs: k,
			Fix: "in /etc/containerd/config.toml set SystemdCgroup = true, in the kubelet's configuration cgroupDriver: systemd; restart both", probe: cgroupDriver},
		{ID: "k8s.cgroup-v1", Group: "kubernetes", Title: "the kubelet accepts this cgroup version", Why: "since 1.35 it refuses to start on cgroup v1 (failCgroupV1, KEP-5573)", Needs: k,
			Fix: "boot with systemd.unified_cgroup_hierarchy=1; or for now set failCgroupV1: false in the kubelet's configuration", probe: kubeletCgroupV1},
		{ID: "k8s.cri-socket", Group: "kubernetes", Title: "the CRI socket answers", Why: "the kubelet drives the runtime through it", Needs: k,
			Fix: "systemctl enable --now containerd", probe: criSocket},
		{ID: "k8s.swap", Group: "kubernetes", Title: "swap as the kubelet wants it", Why: "with failSwapOn it refuses to start where swap is on", Needs: k,
			Fix: "swapoff -a and remove swap from /etc/fstab; or set failSwapOn: false and memorySwap.swapBehavior", probe: kubeletSwap},
		{ID: "k8s.max-pods", Group: "kubernetes", Title: "max-pods fits the host", Why: "a pod that cannot start is worse than one not scheduled", Needs: rec, probe: maxPods},
		{ID: "k8s.data-root", Group: "kubernetes", Title: "the runtime's data root is on a local file system", Why: "overlay does not work on a network file system", Needs: k, probe: dataRoot},
		{ID: "k8s.time", Group: "kubernetes", Title: "the clock is synchronized", Why: "certificates and leases", Needs: rec,
			Fix: "systemctl enable --now systemd-timesyncd", probe: timeSync},
	}
}

const notInstalled = "neither the kubelet nor its configuration is here"

func cgroupDriver(h *host) Outcome {
	o := h.orchestrator()
	if !o.kubelet {
		return skip(notInstalled)
	}
	kubelet := cmp.Or(o.kubeletDriver, "cgroupfs")
	ev := file(cmp.Or(o.kubeletConfig, kubeletConfigPath), "cgroupDriver: "+cmp.Or(o.kubeletDriver, "not set: cgroupfs"))
	if o.runtimeDriver == "" {
		return cannotTell("the runtime's configuration was not found; the kubelet uses "+kubelet, ev)
	}
	runtime := file(o.runtimeConfig, "cgroup driver "+o.runtimeDriver)
	switch {
	case kubelet != o.runtimeDriver && o.kubeletMinor >= 31 && o.kubeletDriver == "":
		// The feature gate KubeletCgroupDriverFromCRI is on by default since 1.31.
		return partly("the kubelet names none; since 1.31 it asks the runtime, if that can tell", ev, runtime)
	case kubelet != o.runtimeDriver:
		return no("the kubelet uses "+kubelet+", the runtime "+o.runtimeDriver, ev, runtime)
	case kubelet == "cgroupfs" && h.text("/proc/1/comm") == "systemd":
		return partly("both use cgroupfs, on a host that systemd manages", ev, runtime)
	}
	return yes(kubelet, ev, runtime)
}

// kubeletCgroupV1: maintenance mode and the setting since 1.31; its default
// became true in 1.35 (kubernetes/kubernetes#134298). The kubelet takes a host
// for v2 if /sys/fs/cgroup itself is the unified tree, so a hybrid host is v1.
func kubeletCgroupV1(h *host) Outcome {
	o := h.orchestrator()
	layout := h.hierarchies.layout()
	ev := file("cgroup.layout", layout)
	switch {
	case layout == "v2":
		return yes("unified hierarchy", ev)
	case !o.kubelet:
		return partly("cgroup v1 ("+layout+"): a kubelet of 1.35 or later will not start here by default", ev)
	case o.failCgroupV1 == "false":
		return partly("cgroup v1, allowed by failCgroupV1: false; support will be removed", ev, file(o.kubeletConfig, "failCgroupV1: false"))
	case o.failCgroupV1 == "true":
		return no("cgroup v1, forbidden by failCgroupV1: true", ev, file(o.kubeletConfig, "failCgroupV1: true"))
	case o.kubeletMinor == 0:
		return cannotTell("cgroup v1, and the kubelet's version is unknown: from 1.35 on it refuses", ev).withFix("kubelet --version")
	case o.kubeletMinor >= 35:
		return no(fmt.Sprintf("kubelet 1.%d refuses cgroup v1", o.kubeletMinor), ev)
	}
	return partly(fmt.Sprintf("kubelet 1.%d accepts cgroup v1; 1.35 will not", o.kubeletMinor), ev)
}

func criSocket(h *host) Outcome {
	o := h.orchestrator()
	if !o.kubelet {
		return skip(notInstalled)
	}
	candidates := []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock"}
	if o.criEndpoint != "" {
		candidates = []string{strings.TrimPrefix(o.criEndpoint, "unix://")}
	}
	for _, path := range candidates {
		if !h.exists(path) {
			continue
		}
		c, err := net.DialTimeout("unix", path, 5*time.Millisecond)
		if err != nil {
			return h.fromErrno("connect("+path+")", err, "")
		}
		c.Close()
		return yes(path, call("connect("+path+")", nil))
	}
	return no("no socket at "+strings.Join(candidates, ", "), file(candidates[0], ""))
}

func kubeletSwap(h *host) Outcome {
	o := h.orchestrator()
	if !o.kubelet {
		return skip(notInstalled)
	}
	total := kilobytes(h.text("/proc/meminfo"), "SwapTotal")
	ev := file("/proc/meminfo", fmt.Sprintf("SwapTotal %d kB", total))
	switch {
	case total == 0:
		return yes("there is no swap", ev)
	case o.failSwapOn == "false":
		return yes("swap is on, and failSwapOn: false", ev, file(o.kubeletConfig, "failSwapOn: false"))
	}
	return no("swap is on, and the kubelet will not start", ev)
}

func maxPods(h *host) Outcome {
	o := h.orchestrator()
	if !o.kubelet {
		return skip(notInstalled)
	}
	d := h.density("kubernetes")
	ev := file(cmp.Or(o.kubeletConfig, kubeletConfigPath), fmt.Sprintf("maxPods: %d", o.maxPods))
	if int64(o.maxPods) > d.Most {
		return partly(fmt.Sprintf("max-pods is %d, and the host holds %d: the first wall is %s", o.maxPods, d.Most, d.Wall), ev).withFix(d.Raise)
	}
	return yes(fmt.Sprintf("%d, of %d that fit", o.maxPods, d.Most), ev)
}

func dataRoot(h *host) Outcome {
	o := h.orchestrator()
	if !o.kubelet && o.runtimeConfig == "" {
		return skip(notInstalled)
	}
	dir := existing(cmp.Or(o.dataRoot, "/var/lib/containerd"))
	m, ok := mountOf(h.mounts, dir)
	ev := file("/proc/self/mountinfo", m.point+" "+m.fsType)
	switch {
	case !ok:
		return cannotTell("no mount holds "+dir, ev)
	case networkFS[m.fsType]:
		return no(dir+" is on "+m.fsType, ev).withFix("move the data root to a local disk")
	}
	return yes(dir+" is on "+m.fsType, ev)
}

var networkFS = map[string]bool{"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "ceph": true, "9p": true, "fuse.sshfs": true, "fuse.glusterfs": true, "overlay": true}

func timeSync(h *host) Outcome {
	if !h.orchestrator().kubelet {
		return skip(notInstalled)
	}
	ok, err := probe.ClockSynchronized()
	if err != nil {
		return h.fromErrno("adjtimex()", err, "")
	}
	if !ok {
		return no("nothing keeps it right", Evidence{Call: "adjtimex()", Value: "STA_UNSYNC"})
	}
	return yes("", call("adjtimex()", nil))
}
