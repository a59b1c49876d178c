package cgroup

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const scope = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope"

// runScope is what systemd gave a run of root's that asked for it.
const runScope = "/system.slice/plimsoll-r1.scope"

// layout is a whole host under testdata, with what a tree of files cannot
// tell: where we may write, and what systemd marked as delegated.
type layout struct {
	name      string
	writable  func(dir string) bool
	delegated string
}

var layouts = []layout{
	{name: "v1"},
	{name: "hybrid"},
	{name: "v2"},
	{name: "v2-systemd"},
	{name: "v2-delegated", writable: func(dir string) bool { return strings.HasPrefix(dir, scope) }, delegated: scope},
	{name: "v2-scope", delegated: "/sys/fs/cgroup" + runScope},
	{name: "hybrid-scope", delegated: "/sys/fs/cgroup/unified" + runScope},
	{name: "v1-scope", delegated: "/sys/fs/cgroup/systemd" + runScope},
	{name: "v2-user", writable: func(string) bool { return false }},
	{name: "v2-container"},
	{name: "v1-container"},
	{name: "none"},
}

var everything = Limits{
	CPU: 1.5, CPUPeriod: 50_000, CPUWeight: 200, CPUSet: "0-1", Mems: "0", Memory: 64 << 20, PIDs: 100,
	IO: []IOLimit{{Device: "254:0", ReadBPS: 1 << 20, WriteIOPS: 500}, {Device: "8:16", WriteBPS: 2 << 20, ReadIOPS: 7}},
}

func fixture(t *testing.T, name string) (h *Host, root string) {
	t.Helper()
	l := layouts[slices.IndexFunc(layouts, func(l layout) bool { return l.name == name })]
	root = filepath.Join("testdata", name)
	h, err := detect(root, access{
		mayWrite: func(dir string, _ int) error {
			if l.writable != nil && !l.writable(strings.TrimPrefix(dir, root)) {
				return &fs.PathError{Op: "write to", Path: dir, Err: unix.EACCES}
			}
			return nil
		},
		delegated: func(dir string) bool { return strings.TrimPrefix(dir, root) == l.delegated },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, root
}

// TestLayouts shows what is made of each host: its hierarchies, the marker, what is missing,
// the paths of a run, and each limit's files or why it cannot be had.
func TestLayouts(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			h, root := fixture(t, l.name)
			var out strings.Builder
			for _, at := range h.Hierarchies {
				fmt.Fprintf(&out, "v%d %s %v\n  own %q\n", at.Version, at.Mount, at.Controllers, at.Own)
				if at.Err != nil {
					fmt.Fprintf(&out, "  unusable: %v\n", at.Err)
				} else {
					fmt.Fprintf(&out, "  parent %s\n", at.Parent)
				}
			}
			if at, err := h.Marker(); err != nil {
				fmt.Fprintf(&out, "\nmarker: %v\n", err)
			} else {
				fmt.Fprintf(&out, "\nmarker: %s\n", at.Mount)
			}
			for _, path := range h.RunPaths("r1") {
				fmt.Fprintf(&out, "path: %s\n", path)
			}
			fmt.Fprintln(&out)
			for _, one := range []Limits{
				{CPUSet: everything.CPUSet, Mems: everything.Mems},
				{CPU: everything.CPU, CPUPeriod: everything.CPUPeriod, CPUWeight: everything.CPUWeight},
				{IO: everything.IO},
				{PIDs: everything.PIDs},
				{Memory: everything.Memory},
			} {
				values, err := h.Values(one)
				if err != nil {
					fmt.Fprintln(&out, err)
				}
				for _, v := range values {
					fmt.Fprintf(&out, "%s: %s < %q\n", v.Controller, v.File, v.Data)
				}
			}
			golden(t, filepath.Join("testdata", l.name+".golden"), strings.ReplaceAll(out.String(), root, ""))
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
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
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestMissingIsNamed: a limit that cannot be had is never ignored, and the first in order is named.
func TestMissingIsNamed(t *testing.T) {
	h, _ := fixture(t, "v2-delegated")
	_, err := h.Values(everything)
	missing, ok := errors.AsType[*MissingError](err)
	if !ok || missing.Controller != CPUSet || missing.Hint == "" {
		t.Errorf("got %v, want a MissingError for cpuset with a hint", err)
	}
	if _, err := h.Values(Limits{PIDs: -1}); err == nil {
		t.Error("impossible limits were compiled")
	}
}

// TestPlaces: a container is placed only where it must be; memory is joined last.
func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		layout string
		needed []Controller
		want   []string
	}{
		{"hybrid", nil, []string{"unified"}},
		{"hybrid", []Controller{Memory, CPU, CPUSet}, []string{"unified", "cpuset", "cpu,cpuacct", "memory"}},
		{"v1", nil, []string{"freezer"}},
		{"v1", []Controller{CPU, Memory, CPUAcct, PIDs}, []string{"freezer", "cpu,cpuacct", "pids", "memory"}},
		{"v1", []Controller{Freezer, Memory}, []string{"freezer", "memory"}},
		{"v2", []Controller{Memory, CPU, IO}, []string{"cgroup"}},
	} {
		h, _ := fixture(t, tt.layout)
		marker, err := h.Marker()
		if err != nil {
			t.Fatal(err)
		}
		r := &Run{host: h, name: "r1", marker: marker}
		var got []string
		for _, p := range r.places("c1", tt.needed) {
			if want := p.at.Parent + "/plimsoll-r1/c1"; p.dir != want {
				t.Errorf("directory %s, want %s", p.dir, want)
			}
			got = append(got, filepath.Base(p.at.Mount))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", tt.layout, tt.needed, diff)
		}
	}
}

func TestHostPressure(t *testing.T) {
	h, _ := fixture(t, "hybrid")
	p, err := h.Pressure(CPU)
	if err != nil || p.Some.Avg300.Value != 0.25 || p.Some.Total.Value != 2.5 || p.Full.Total.Known {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := h.Pressure(IO); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("pressure that is not there: %v", err)
	}
}
