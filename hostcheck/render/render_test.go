package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"plimsoll/hostcheck"
	"plimsoll/hostcheck/kconfig"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

// sample is a report with one result of every verdict, and text that every
// format must quote.
func sample() *hostcheck.Report {
	result := func(id, group, title string, s hostcheck.Severity, v hostcheck.Verdict, a hostcheck.Answer, detail, fix string, ev ...hostcheck.Evidence) hostcheck.Result {
		return hostcheck.Result{ID: id, Group: group, Title: title, Why: "why " + title, Severity: s, Verdict: v, Answer: a, Detail: detail, Fix: fix, Evidence: ev}
	}
	limits := []hostcheck.Limit{
		{Name: "bridge ports", Limit: 1023, From: "net/bridge: BR_MAX_PORTS", Raise: "use several bridges"},
		{Name: "tasks", Limit: 32768, Used: 141, From: "/proc/sys/kernel/pid_max", Raise: "sysctl -w kernel.pid_max=4194304"},
	}
	d := hostcheck.Estimate(hostcheck.Kind{Use: "docker", Text: "one idle process", Demands: map[string]float64{"tasks": 12, "bridge ports": 1}}, limits)
	missing := result("fs.overlay", "storage", "overlay on the data directory", hostcheck.Required, hostcheck.Fail, hostcheck.No,
		"/data|x \"<nfs>\" cannot be an upper layer", "put the data directory on ext4", hostcheck.Evidence{Call: "mount(overlay)", Errno: "EINVAL"})
	missing.Explains = "CONFIG_OVERLAY_FS is not set"
	return &hostcheck.Report{
		Schema: hostcheck.Schema, Use: "docker", Ready: hostcheck.NotReady, Elapsed: 12 * time.Millisecond,
		Host: map[string]string{"host.name": "web-1", "kernel.release": "6.1.0-28-amd64", "kernel.arch": "x86_64", "os.name": "Debian GNU/Linux", "os.version": "12",
			"cpu.count": "8", "cpu.model": "Xeon", "memory.total": "34359738368", "virtualization": "kvm", "virtualization.role": "guest", "cgroup.layout": "v2", "data.dir": "/data", "user.euid": "1000"},
		Config: &hostcheck.ConfigInfo{Source: "/boot/config-6.1.0-28-amd64", Version: "6.1.119", Arch: "x86", Options: 9000, Whole: true,
			Routes: []kconfig.Route{{Name: "legacy iptables", Lacking: []string{"IP_NF_NAT"}}, {Name: "nft", Needs: []string{"NF_TABLES"}}}},
		Results: []hostcheck.Result{
			result("ns.net", "namespaces", "network namespace", hostcheck.Required, hostcheck.Pass, hostcheck.Yes, "made and let go", "", hostcheck.Evidence{Call: "unshare(CLONE_NEWNET)"}),
			missing,
			result("cgroup.memory", "cgroups", "limit memory", hostcheck.Required, hostcheck.Unknown, hostcheck.CannotTell, "no cgroup could be made", "run it as root: sudo checkconfig", hostcheck.Evidence{Call: "mkdir /sys/fs/cgroup", Errno: "EACCES"}),
			result("cgroup.pids", "cgroups", "limit processes", hostcheck.Recommended, hostcheck.Unknown, hostcheck.CannotTell, "no cgroup could be made", "run it as root: sudo checkconfig", hostcheck.Evidence{Call: "mkdir /sys/fs/cgroup", Errno: "EACCES"}),
			result("net.forward", "network", "IPv4 is forwarded", hostcheck.Recommended, hostcheck.Warn, hostcheck.No, "it is off", "sysctl -w net.ipv4.ip_forward=1", hostcheck.Evidence{File: "/proc/sys/net/ipv4/ip_forward", Value: "0"}),
			result("net.ipvlan", "network", "ipvlan", hostcheck.Optional, hostcheck.Warn, hostcheck.No, "the kernel has none", "modprobe ipvlan"),
			result("k8s.swap", "kubernetes", "swap", hostcheck.NotNeeded, hostcheck.Skip, hostcheck.NotRelevant, "", ""),
			result("CONFIG_NET_NS", "kernel options: namespaces", "private network", hostcheck.Required, hostcheck.Pass, hostcheck.Yes, "enabled", ""),
			result("CONFIG_VXLAN", "kernel options: network:overlay", "overlay networks", hostcheck.Optional, hostcheck.Warn, hostcheck.No, "missing", "build the kernel with CONFIG_VXLAN=m"),
		},
		Matrix: []hostcheck.UseReadiness{
			{Use: "docker", Ready: hostcheck.NotReady, Groups: map[string]hostcheck.Readiness{"namespaces": hostcheck.Ready, "storage": hostcheck.NotReady, "cgroups": hostcheck.Unclear}, Lacks: []string{"fs.overlay"}, Holds: 1023, Wall: "bridge ports"},
			{Use: "lxc", Ready: hostcheck.Unclear, Groups: map[string]hostcheck.Readiness{"namespaces": hostcheck.Ready, "cgroups": hostcheck.Unclear}, Holds: 12, Wall: "tasks"},
		},
		Capabilities: []hostcheck.Capability{{Name: "limit memory", Answer: hostcheck.CannotTell, By: "cgroup.memory: no cgroup could be made"}, {Name: "run unprivileged", Answer: hostcheck.Yes, By: "ns.user"}},
		Density:      &d, Limits: limits,
	}
}

func TestFormats(t *testing.T) {
	for _, f := range Formats {
		var b bytes.Buffer
		if err := f.Write(&b, sample(), Style{}); err != nil {
			t.Fatal(err)
		}
		golden(t, f.Name+".golden", b.String())
	}
	for name, s := range map[string]Style{"text-all": {All: true}, "text-colour": {Color: true}, "markdown-all": {All: true}} {
		var b bytes.Buffer
		format, _, _ := strings.Cut(name, "-")
		if err := Write(&b, format, sample(), s); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".golden", b.String())
	}
}

func TestNoEscapesWithoutColour(t *testing.T) {
	for _, f := range Formats {
		var b bytes.Buffer
		if err := f.Write(&b, sample(), Style{All: true}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%s holds escapes", f.Name)
		}
	}
}

// What a host's files hold cannot steer the reader's terminal.
func TestNoEscapesFromTheHost(t *testing.T) {
	r := sample()
	r.Host["host.name"] = "web\x1b]0;owned\x07"
	r.Results[1].Evidence[0].Value = "\x1b[2J"
	r.Results[1].Fix = "a\rb\u202ec"
	for _, write := range []func(*bytes.Buffer) error{
		func(b *bytes.Buffer) error { return Text(b, r, Style{All: true}) },
		func(b *bytes.Buffer) error { return Markdown(b, r, Style{All: true}) },
		func(b *bytes.Buffer) error { return Merge(b, "text", []*hostcheck.Report{r}, Style{All: true}) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\r\u202e") {
			t.Errorf("control characters came through:\n%q", b.String())
		}
	}
}

func TestJSONComesBack(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, sample(), Style{}); err != nil {
		t.Fatal(err)
	}
	var back hostcheck.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), &back, cmpopts.IgnoreFields(hostcheck.Result{}, "Needs")); diff != "" {
		t.Error(diff)
	}
}

// What machines read is well formed, whatever a host's files hold.
func TestMachinesCanRead(t *testing.T) {
	r := sample()
	r.Results[1].Detail = "a\nb \"c\" <d> | & \\ ]]>"
	var junit, sarif, prom bytes.Buffer
	for _, err := range []error{JUnit(&junit, r, Style{}), SARIF(&sarif, r, Style{}), Prometheus(&prom, r, Style{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var suites junitSuites
	if err := xml.Unmarshal(junit.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	failures, errors := 0, 0
	for _, s := range suites.Suites {
		failures, errors = failures+s.Failures, errors+s.Errors
	}
	if failures != 1 || errors != 1 {
		t.Errorf("JUnit counts %d failures and %d errors, want one of each", failures, errors)
	}
	var log sarifLog
	if err := json.Unmarshal(sarif.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	levels := map[string]int{}
	for _, x := range log.Runs[0].Results {
		levels[x.Level]++
		if log.Runs[0].Tool.Driver.Rules[x.RuleIndex].ID != x.RuleID {
			t.Errorf("result %s points at rule %d", x.RuleID, x.RuleIndex)
		}
	}
	if diff := cmp.Diff(map[string]int{"error": 1, "warning": 1, "note": 4}, levels); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(prom.String()) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "checkconfig_") {
			t.Errorf("not a metric: %q", line)
		}
	}
}

func TestMerge(t *testing.T) {
	a, b := sample(), sample()
	b.Host["host.name"] = "web-2"
	b.Ready = hostcheck.Ready
	b.Results[1].Verdict = hostcheck.Pass
	b.Density = nil
	for _, format := range []string{"text", "markdown"} {
		var out bytes.Buffer
		if err := Merge(&out, format, []*hostcheck.Report{a, b}, Style{}); err != nil {
			t.Fatal(err)
		}
		golden(t, "merge-"+format+".golden", out.String())
	}
	if err := Merge(&bytes.Buffer{}, "sarif", nil, Style{}); err == nil {
		t.Error("a table in SARIF gives no error")
	}
}

func TestUnknownFormat(t *testing.T) {
	if err := Write(&bytes.Buffer{}, "yaml", sample(), Style{}); err == nil || !strings.Contains(err.Error(), "prometheus") {
		t.Errorf("error %v names no format", err)
	}
}
