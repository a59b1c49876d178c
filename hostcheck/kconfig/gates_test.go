package kconfig

import (
	"os"
	"strings"
	"testing"
)

// releases of the mainline kernel that the reference data spans.
func releases() []Version {
	var all []Version
	for _, series := range []struct{ major, last int }{{4, 20}, {5, 19}, {6, 19}, {7, 2}} {
		for minor := range series.last + 1 {
			all = append(all, Version{Major: series.major, Minor: minor})
		}
	}
	return all
}

// gateExceptions are options whose gate is not where configs showed it, with
// the reason.
var gateExceptions = map[string]string{
	"BPF_UNPRIV_DEFAULT_OFF": "5.16 upstream; stable releases carried it back to 5.13's time",
	"WIREGUARD":              "5.6 upstream; distributions carried it as a patch before",
	"KCMP":                   "5.12 upstream; carried back to 5.10",
	"AUFS_FS":                "never upstream, and in distributions' 4.0",
	"MEMCG_KMEM":             "its prompt went in 4.5; a hidden symbol of the name lived on to 6.10",
}

// TestGatesAgreeWithConfigs holds every gate against the releases at which
// distribution configs showed the option come and go.
func TestGatesAgreeWithConfigs(t *testing.T) {
	text, err := os.ReadFile("testdata/boundaries.tsv")
	if err != nil {
		t.Fatal(err)
	}
	options, err := Options()
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") || gateExceptions[f[0]] != "" {
			continue
		}
		o, ok := Lookup(options, f[0])
		if !ok {
			t.Errorf("%s: in the boundaries, not in the options", f[0])
			continue
		}
		for _, b := range []struct {
			release string
			there   bool
			what    string
		}{
			{f[1], false, "the last release seen without it"}, {f[2], true, "the first seen with it"},
			{f[3], true, "the last seen with it"}, {f[4], false, "the first seen without it again"},
		} {
			if b.release == "-" {
				continue
			}
			v, err := ParseVersion(b.release)
			if err != nil {
				t.Fatal(err)
			}
			tested++
			if got := gateOpen(o, v); got != b.there {
				t.Errorf("%s at Linux %v, %s: gate open %v", o.Name, v, b.what, got)
			}
		}
	}
	if tested < 1000 {
		t.Errorf("%d boundaries were tested; the data has more than 1,000", tested)
	}
}

// gateOpen asks the judge: an option that is off and not excused for its
// release is expected there.
func gateOpen(o Option, v Version) bool {
	o.Want, o.Instead, o.Arch, o.Group = "on", "", "", ""
	c := &Config{Version: v, Values: map[string]string{"SMP": "y"}}
	return c.judge(o, Hierarchies{V1: true, V2: true}, nil).State == Missing
}

// TestEveryGateOpensOnce walks every option through every release: a gate
// opens at most once, closes at most once, and never for a value that is set.
func TestEveryGateOpensOnce(t *testing.T) {
	options, err := Options()
	if err != nil {
		t.Fatal(err)
	}
	if len(options) != 620 {
		t.Errorf("%d options, the reference has 620", len(options))
	}
	for _, o := range options {
		changes, open := 0, false
		for i, v := range releases() {
			now := gateOpen(o, v)
			if i > 0 && now != open {
				changes++
			}
			open = now
			want := !o.Never && !(o.Since.Known() && v.Before(o.Since)) && !(o.Until.Known() && !v.Before(o.Until))
			if now != want {
				t.Errorf("%s at %v: open %v, since %v, until %v", o.Name, v, now, o.Since, o.Until)
			}
		}
		if changes > 2 {
			t.Errorf("%s: its gate moves %d times", o.Name, changes)
		}
		if o.Want != "on" {
			continue
		}
		backported := &Config{Version: Version{Major: 3, Minor: 10}, Values: map[string]string{o.Name: "y"}}
		if f := backported.judge(o, Hierarchies{V1: true, V2: true}, nil); f.State != Enabled {
			t.Errorf("%s=y in a 3.10 that carries it back: %s", o.Name, f.State)
		}
	}
}

func TestUnknownReleaseIsUnknown(t *testing.T) {
	options, _ := Options()
	psi, _ := Lookup(options, "CONFIG_PSI")
	c := &Config{Values: map[string]string{"NAMESPACES": "y"}}
	if f := c.judge(psi, Hierarchies{V2: true}, nil); f.State != Unknown {
		t.Errorf("PSI absent in a config of unknown release: %s, want unknown: %s", f.State, f.Reason)
	}
	net, _ := Lookup(options, "NET_NS")
	if f := c.judge(net, Hierarchies{V2: true}, nil); f.State != Missing {
		t.Errorf("NET_NS absent in a config of unknown release: %s; every release has it", f.State)
	}
}
