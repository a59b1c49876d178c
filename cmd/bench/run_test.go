package main

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"plimsoll/profiles"
)

// TestCommand: the command that a journal keeps asks for the same run.
func TestCommand(t *testing.T) {
	asked := runOptions{
		profile:  "startup",
		dirs:     []string{"/data", "/var/it's here, too"},
		runtimes: []string{"isolate", "pr=oci:/opt/runc"},
		rounds:   "8",
		set:      []string{"factors.fleet=[1,8]", "gap=5ms"},
		require:  []string{"startup/isolate limits=small"},
		out:      "elsewhere", quiet: true,
	}
	argv := asked.command("./bench", []string{"HOME=/", "PLIMSOLL_GAP=1ms", "PLIMSOLL_REQUIRE=root"}, "7")
	if diff := cmp.Diff([]string{"env", "PLIMSOLL_GAP=1ms", "./bench", "run", "startup"}, argv[:5]); diff != "" {
		t.Error(diff)
	}
	again := runOptions{profile: argv[4]}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	again.flags(flags)
	if err := flags.Parse(argv[5:]); err != nil {
		t.Fatal(err)
	}
	asked.seed = "7"
	before, err1 := asked.overrides(nil)
	after, err2 := again.overrides(nil)
	if diff := cmp.Diff(before, after); diff != "" || err1 != nil || err2 != nil {
		t.Error(err1, err2, diff)
	}
	if diff := cmp.Diff(asked.require, again.require); diff != "" {
		t.Error(diff)
	}
	p, err := profiles.Load(again.profile, after)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asked.dirs, p.Factors.Dir); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(asked.runtimes, p.Factors.Runtime); diff != "" {
		t.Error(diff)
	}
}

func TestFinish(t *testing.T) {
	for _, l := range []struct {
		err    error
		status int
	}{
		{nil, 0},
		{io.ErrUnexpectedEOF, statusUnable},
		{usageError("what?"), statusUsage},
		{withStatus(statusNo, io.EOF), statusNo},
		{withStatus(statusNo, nil), 0},
	} {
		if got := finish(l.err, io.Discard); got != l.status {
			t.Errorf("%v: status %d, want %d", l.err, got, l.status)
		}
	}
}
