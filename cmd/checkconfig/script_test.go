package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"plimsoll/hostcheck"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"checkconfig": main})
}

// The scripts are the manual of the command line, by example.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		// "exits CODE checkconfig ..." wants that exit code; "chop FILE" takes the
		// last byte of a file away.
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				var out, err bytes.Buffer
				dir := ts.Getenv("WORK")
				for i, a := range args {
					if strings.HasPrefix(a, "./") {
						args[i] = dir + a[1:]
					}
				}
				// The environment is the script's; the commands that use this command set none.
				code := run(context.Background(), args[2:], streams{strings.NewReader(""), &out, &err})
				ts.Logf("%s%s", out.String(), err.String())
				if want := args[0]; want != string(rune('0'+code)) {
					ts.Fatalf("exit code %d, want %s", code, want)
				}
			},
			"chop": func(ts *testscript.TestScript, _ bool, args []string) {
				text := ts.ReadFile(args[0])
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:len(text)-1]), 0o644))
			},
		},
	})
}

// Every example of the help text is a command line that is understood.
func TestHelpExamples(t *testing.T) {
	examples := 0
	for line := range strings.Lines(checkHelp) {
		rest, ok := strings.CutPrefix(line, "  checkconfig ")
		if !ok {
			continue
		}
		command, _, _ := strings.Cut(strings.TrimSpace(rest), "   ")
		examples++
		root := rootCommand(streams{strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}})
		found, args, err := root.Find(strings.Fields(command))
		if err == nil {
			err = found.ParseFlags(args)
		}
		if err != nil {
			t.Errorf("checkconfig %s: %v", command, err)
		}
	}
	if examples < 5 {
		t.Errorf("%d examples were found", examples)
	}
}

func TestExplainKnowsEverything(t *testing.T) {
	for _, id := range known() {
		var out bytes.Buffer
		if err := explain(&out, id); err != nil || !strings.Contains(out.String(), id) {
			t.Errorf("explain %s: %v\n%s", id, err, out.String())
		}
	}
}

func TestNearest(t *testing.T) {
	ids := []string{"fs.overlay", "ns.net", "CONFIG_OVERLAY_FS"}
	for in, want := range map[string]string{"fs.overly": "fs.overlay", "overlay": "fs.overlay", "config_overlay_fs": "CONFIG_OVERLAY_FS", "zzzzzz": ""} {
		if got := nearest(in, ids); got != want {
			t.Errorf("nearest %q: %q, want %q", in, got, want)
		}
	}
}

func TestColourIsForTerminals(t *testing.T) {
	if coloured(&bytes.Buffer{}) {
		t.Error("a buffer is coloured")
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if coloured(f) {
		t.Error("a file is coloured")
	}
}

// A run on this host gives one of the answers, and never a usage error.
func TestThisHost(t *testing.T) {
	if len(hostcheck.Checks()) == 0 {
		t.Skip("needs Linux")
	}
	for _, use := range uses() {
		var out, err bytes.Buffer
		code := run(context.Background(), []string{"--for", use}, streams{strings.NewReader(""), &out, &err})
		t.Logf("%s%s", out.String(), err.String())
		if code != exitYes && code != exitNo && code != exitUndecided {
			t.Errorf("--for %s: exit code %d: %s", use, code, err.String())
		}
		if !strings.Contains(out.String(), "READY for") && !strings.Contains(out.String(), "NOT KNOWN") {
			t.Errorf("--for %s answers nothing:\n%s", use, out.String())
		}
	}
}
