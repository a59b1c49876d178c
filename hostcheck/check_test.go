package hostcheck

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"plimsoll/hostcheck/kconfig"
)

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		answer Answer
		want   [4]Verdict // required, recommended, optional, not needed
	}{
		{Yes, [4]Verdict{Pass, Pass, Pass, Skip}},
		{No, [4]Verdict{Fail, Warn, Warn, Skip}},
		{Partly, [4]Verdict{Warn, Warn, Warn, Skip}},
		{CannotTell, [4]Verdict{Unknown, Unknown, Unknown, Skip}},
		{NotRelevant, [4]Verdict{Skip, Skip, Skip, Skip}},
	} {
		for i, s := range []Severity{Required, Recommended, Optional, NotNeeded} {
			if got := judge(tt.answer, s); got != tt.want[i] {
				t.Errorf("%s and %q: %s, want %s", tt.answer, s, got, tt.want[i])
			}
		}
	}
}

func TestReadiness(t *testing.T) {
	docker := need("R------")
	for _, tt := range []struct {
		name          string
		results       []Result
		ready, strict Readiness
	}{
		{"all there", []Result{{Answer: Yes, Needs: docker}}, Ready, Ready},
		{"a required one missing", []Result{{Answer: Yes, Needs: docker}, {Answer: No, Needs: docker}}, NotReady, NotReady},
		{"a required one unknown", []Result{{Answer: CannotTell, Needs: docker}}, Unclear, Unclear},
		{"missing counts before unknown", []Result{{Answer: CannotTell, Needs: docker}, {Answer: No, Needs: docker}}, NotReady, NotReady},
		{"a recommended one missing", []Result{{Answer: No, Needs: need("r------")}}, Ready, NotReady},
		{"an optional one missing", []Result{{Answer: No, Needs: need("o------")}}, Ready, Ready},
		{"another use's", []Result{{Answer: No, Needs: need("-R-----")}}, Ready, Ready},
		{"with something to mend", []Result{{Answer: Partly, Needs: docker}}, Ready, NotReady},
	} {
		r := Report{Use: "docker", Results: tt.results}
		r.conclude()
		if r.Ready != tt.ready || r.Strict() != tt.strict {
			t.Errorf("%s: %s, strict %s; want %s and %s", tt.name, r.Ready, r.Strict(), tt.ready, tt.strict)
		}
		if row := r.Matrix[0]; row.Use != "docker" || row.Ready != tt.ready {
			t.Errorf("%s: the matrix says %s: %s", tt.name, row.Use, row.Ready)
		}
	}
}

func TestUses(t *testing.T) {
	if len(Uses) != numUses {
		t.Fatalf("%d uses, needs holds %d", len(Uses), numUses)
	}
	n := need("Rro-ooo")
	for u, want := range map[Use]Severity{"docker": Required, "containerd": Recommended, "kubernetes": Optional, "podman": NotNeeded, All: Required} {
		if got := n.of(u); got != want {
			t.Errorf("%s: %q, want %q", u, got, want)
		}
	}
	if got := n.upTo(Optional).of(All); got != Optional {
		t.Errorf("limited to optional: %q", got)
	}
	if _, err := ParseUse("dokcer"); err == nil || !strings.Contains(err.Error(), "docker, containerd") {
		t.Errorf("a use that is none: %v", err)
	}
}

func TestModuleOptions(t *testing.T) {
	o := kconfig.Option{Name: "OVERLAY_FS", Want: "on", Module: "overlay"}
	f := []kconfig.Finding{{Option: o, State: kconfig.Module, Value: "m"}}
	for _, tt := range []struct {
		name    string
		modules *kconfig.Modules
		answer  Answer
		detail  string
	}{
		{"offline", nil, Yes, "enabled (as module)"},
		{"its file is there", &kconfig.Modules{Files: map[string]string{"overlay": "kernel/fs/overlayfs/overlay.ko"}}, Yes, "enabled (as module, available, not loaded)"},
		{"loaded", &kconfig.Modules{Loaded: map[string]bool{"overlay": true}}, Yes, "enabled (as module, loaded)"},
		{"its package is not installed", &kconfig.Modules{}, No, "is a module whose file is not there: modules.dep has no overlay"},
		{"blacklisted", &kconfig.Modules{Files: map[string]string{"overlay": "x"}, Blocked: map[string]string{"overlay": "blacklisted in x.conf"}}, No, "is a module that may not be loaded: blacklisted in x.conf"},
		{"loading is disabled", &kconfig.Modules{Files: map[string]string{"overlay": "x"}, Sealed: "kernel.modules_disabled is 1"}, No, "is a module that may not be loaded: kernel.modules_disabled is 1"},
		{"loaded before it was disabled", &kconfig.Modules{Files: map[string]string{"overlay": "x"}, Loaded: map[string]bool{"overlay": true}, Sealed: "x"}, Yes, "enabled (as module, loaded)"},
	} {
		r := optionResults(f, tt.modules, nil)[0]
		if r.Answer != tt.answer || r.Detail != tt.detail {
			t.Errorf("%s: %s, %q; want %s, %q", tt.name, r.Answer, r.Detail, tt.answer, tt.detail)
		}
	}
}

// A list of options says what they are, not only whether that is well.
func TestOptionDetails(t *testing.T) {
	for _, tt := range []struct {
		want, value string
		state       kconfig.State
		reason      string
		detail      string
	}{
		{"on", "y", kconfig.Enabled, "", "enabled"},
		{"n", "n", kconfig.Enabled, "", "off, as it should be"},
		{"n", "", kconfig.Enabled, "", "off, as it should be"},
		{"n", "y", kconfig.Enabled, "off unless booted with x", "enabled: off unless booted with x"},
		{"n", "y", kconfig.Missing, "", "is y, should be off"},
		{"32768|65536", "65536", kconfig.Enabled, "", "is 65536"},
		{"on", "", kconfig.Missing, "", "missing"},
		{"on", "", kconfig.Instead, "B does the same", "not needed: B does the same"},
		{"info", "250", kconfig.Shown, "", "shown only: 250"},
		{"on", "", kconfig.Inapplicable, "only on x86", "only on x86"},
	} {
		f := kconfig.Finding{Option: kconfig.Option{Name: "A", Want: tt.want}, Value: tt.value, State: tt.state, Reason: tt.reason}
		if _, got, _ := optionAnswer(f, nil); got != tt.detail {
			t.Errorf("want %s, is %q, %s: %q, want %q", tt.want, tt.value, tt.state, got, tt.detail)
		}
	}
}

// An option that a probe decided does not count, whatever it says.
func TestProbeDecides(t *testing.T) {
	o := kconfig.Option{Name: "NET_NS", Group: "namespaces", Level: "required", Want: "on"}
	f := []kconfig.Finding{{Option: o, State: kconfig.Missing}}
	alone := optionResults(f, nil, nil)[0]
	if got := alone.For("docker"); got != Fail {
		t.Errorf("alone: %s", got)
	}
	decided := optionResults(f, nil, map[string]string{"NET_NS": "ns.net"})[0]
	if got := decided.For("docker"); got != Skip || decided.Decided != "ns.net" {
		t.Errorf("decided by a probe: %s, by %q", got, decided.Decided)
	}
}

func TestCapabilities(t *testing.T) {
	results := []Result{{ID: "cgroup.memory", Answer: Yes}, {ID: "criu.kernel", Answer: Yes}, {ID: "criu.program", Answer: No, Detail: "not found"},
		{ID: "ns.time", Answer: Yes}, {ID: "fs.quota", Answer: No}}
	want := map[string]Answer{"limit memory": Yes, "limit kernel memory": Yes, "checkpoint": No, "live-migrate": No, "limit disk usage": No, "limit CPU": CannotTell}
	got := map[string]Answer{}
	for _, c := range capabilitiesOf(results, "ro quiet") {
		if _, ok := want[c.Name]; ok {
			got[c.Name] = c.Answer
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range capabilitiesOf(results, "cgroup.memory=nokmem") {
		if c.Name == "limit kernel memory" && c.Answer != No {
			t.Errorf("with cgroup.memory=nokmem: %s", c.Answer)
		}
	}
}

func TestErrnoNames(t *testing.T) {
	if got := errnoName(fmt.Errorf("open: %w", syscall.EPERM)); got != "EPERM" {
		t.Errorf("%q", got)
	}
	if got := errnoName(fmt.Errorf("no errno")); got != "no errno" {
		t.Errorf("%q", got)
	}
}

func TestJudgeOffline(t *testing.T) {
	text := "# Linux/x86 6.12.0 Kernel Configuration\nCONFIG_NAMESPACES=y\n# CONFIG_MEMCG_V1 is not set\n"
	c, err := kconfig.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host kconfig.Hierarchies
		want Verdict
	}{{kconfig.Hierarchies{}, Skip}, {kconfig.Hierarchies{V2: true}, Skip}, {kconfig.Hierarchies{V1: true}, Fail}} {
		r, err := Judge(Options{Use: "docker", Config: c, Hierarchies: tt.host})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Results, func(x Result) bool { return x.ID == "CONFIG_MEMCG_V1" })
		if got := r.Results[i].Verdict; got != tt.want {
			t.Errorf("MEMCG_V1 off, hierarchies %+v: %s, want %s", tt.host, got, tt.want)
		}
		if r.Ready != NotReady || !strings.Contains(r.Fragment, "CONFIG_OVERLAY_FS=m\n") {
			t.Errorf("a configuration of nothing: %s, fragment %q", r.Ready, r.Fragment)
		}
	}
}
