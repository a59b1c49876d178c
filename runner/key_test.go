package runner

import "testing"

func TestBaseline(t *testing.T) {
	for _, c := range []struct {
		name           string
		key, baseline  Key
		isBase, isCtrl bool
	}{
		{
			name:     "a container",
			key:      Key{Workload: "io", Runtime: "runc", Storage: "overlay", Dir: "ext4", Limits: "small", Network: "none", Fleet: 8, Cache: "cold", Params: "block=1MiB", Variant: "x", Host: "vm"},
			baseline: Key{Workload: "io", Runtime: "bare", Dir: "ext4", Fleet: 8, Cache: "cold", Params: "block=1MiB", Variant: "x", Host: "vm"},
		},
		{
			name:     "what shapes the container is not the baseline's",
			key:      Key{Workload: "startup", Runtime: "isolate", Params: "hold=1s,rung=pid+mnt"},
			baseline: Key{Workload: "startup", Runtime: "bare", Params: "hold=1s"},
		},
		{name: "a baseline", key: Key{Workload: "cpu", Runtime: "bare"}, baseline: Key{Workload: "cpu", Runtime: "bare"}, isBase: true},
		{name: "a control", key: Key{Workload: "cpu", Runtime: "bare", Variant: "a/a"}, baseline: Key{Workload: "cpu", Runtime: "bare"}, isCtrl: true},
		{name: "a variant's control", key: Key{Workload: "cpu", Runtime: "bare", Variant: "x:a/a"}, baseline: Key{Workload: "cpu", Runtime: "bare", Variant: "x"}, isCtrl: true},
	} {
		want := c.baseline.WithDefaults()
		if got := c.key.Baseline(); got != want {
			t.Errorf("%s: baseline of %s is %s, want %s", c.name, c.key, got, want)
		}
		if c.key.IsBaseline() != c.isBase || c.key.IsControl() != c.isCtrl {
			t.Errorf("%s: IsBaseline %v, IsControl %v", c.name, c.key.IsBaseline(), c.key.IsControl())
		}
		if got := want.Control().Baseline(); got != want {
			t.Errorf("%s: the control's baseline is %s, want %s", c.name, got, want)
		}
	}
}

func TestParam(t *testing.T) {
	k := Key{Workload: "io", Params: "block=1MiB,direct=true"}
	for name, want := range map[string]string{"block": "1MiB", "direct": "true", "size": "64MiB", "rung": ""} {
		if got := k.Param(name); got != want {
			t.Errorf("Param(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestKeyString(t *testing.T) {
	k := Key{Workload: "startup", Runtime: "runc", Storage: "overlay", Limits: "small", Fleet: 8, Params: "hold=1s"}
	const want = "startup/runc storage=overlay limits=small fleet=8 params=hold=1s"
	if got := k.String(); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	for text, want := range map[string]bool{
		want: true, "startup/runc": true, "startup/runc network=host": true, "startup/runc hold=1s": true, "startup/runc rung=full": true,
		"": false, "startup": false, "startup/crun": false, "startup/runc limits=none": false, "startup/runc colour=red": false, "startup/runc colour=": false, "startup/runc dir=": true, "startup/runc hold": false,
	} {
		if got := k.is(text); got != want {
			t.Errorf("%q describes %s: %v, want %v", text, k, got, want)
		}
	}
}
