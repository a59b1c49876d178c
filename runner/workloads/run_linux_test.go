package workloads

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"plimsoll/profiles"
)

// quick makes each measurement as small as it can be.
func quick(workload string) map[string]string {
	params := map[string]string{"duration": "1ms"}
	switch workload {
	case "cpu":
		params["n"] = "50"
	default:
		params["size"] = "1MiB"
	}
	return params
}

// metrics are what each part of each workload measures.
var metrics = map[string]map[string][]string{
	"cpu": {
		"linpack": {"flops flop/s higher"},
		"integer": {"integer op/s higher"},
		"syscall": {"syscall s lower"},
		"switch":  {"context_switch s lower"},
	},
	"memory": {
		"stream":  {"copy B/s higher", "scale B/s higher", "add B/s higher", "triad B/s higher"},
		"latency": {"latency s lower"},
		"random":  {"random_access op/s higher"},
		"fault":   {"page_fault s lower"},
	},
	"io": {
		"seq_read":   {"seq_read B/s higher"},
		"seq_write":  {"seq_write B/s higher"},
		"rand_read":  {"rand_read B/s higher"},
		"rand_write": {"rand_write B/s higher"},
		"fsync":      {"fsync s lower"},
		"metadata":   {"metadata op/s higher"},
	},
}

// Every part of the catalogue measures what it should, alone and with all the
// others, and leaves neither file, descriptor nor setting behind.
func TestRun(t *testing.T) {
	for _, w := range profiles.Catalogue {
		if !Has(w) {
			continue
		}
		t.Run(w.Name, func(t *testing.T) {
			dir := t.TempDir()
			descriptors, procs := count(t, "/proc/self/fd"), runtime.GOMAXPROCS(0)
			all := 0
			for _, part := range w.Params[0].Choices[1:] {
				params := quick(w.Name)
				params["part"] = part
				want := metrics[w.Name][part]
				if diff := cmp.Diff(want, measured(t, w.Name, params, dir)); diff != "" {
					t.Errorf("%s: -want +got\n%s", part, diff)
				}
				all += len(want)
			}
			if got := measured(t, w.Name, quick(w.Name), dir); len(got) != all {
				t.Errorf("all parts together measured %q, which is not %d", got, all)
			}
			if left := count(t, dir); left != 0 {
				t.Errorf("%d files are left", left)
			}
			if left := count(t, "/proc/self/fd"); left != descriptors {
				t.Errorf("%d descriptors are open, and %d were", left, descriptors)
			}
			if now := runtime.GOMAXPROCS(0); now != procs {
				t.Errorf("GOMAXPROCS is %d, and was %d", now, procs)
			}
		})
	}
}

func measured(t *testing.T, name string, params map[string]string, dir string) []string {
	t.Helper()
	var out bytes.Buffer
	if err := Run(t.Context(), name, params, dir, &out); err != nil {
		t.Fatal(err)
	}
	measurements, err := ParseOutput(&out)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range measurements {
		lines = append(lines, strings.Join([]string{m.Metric, m.Unit, string(m.Better)}, " "))
	}
	return lines
}

func count(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestThreads(t *testing.T) {
	for _, threads := range []string{"1", "3"} {
		params := quick("memory")
		params["threads"], params["part"] = threads, "stream"
		measured(t, "memory", params, "")
		params = quick("cpu")
		params["threads"] = threads
		measured(t, "cpu", params, "")
	}
}

func TestLogBeginsAgain(t *testing.T) {
	measured(t, "io", map[string]string{"part": "fsync", "size": "8KiB", "duration": "5ms"}, t.TempDir())
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name := range metrics {
		dir := t.TempDir()
		if err := Run(ctx, name, quick(name), dir, io.Discard); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want %v", name, err, context.Canceled)
		}
		if left := count(t, dir); left != 0 {
			t.Errorf("%s: %d files are left", name, left)
		}
	}
}

func TestOutputLost(t *testing.T) {
	err := Run(t.Context(), "cpu", quick("cpu"), "", fullWriter{})
	checkError(t, "full", err, "write the measurements: no space left on device")
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, unix.ENOSPC }

func TestDirect(t *testing.T) {
	dir := t.TempDir()
	params := quick("io")
	params["direct"] = "true"
	err := Run(t.Context(), "io", params, dir, io.Discard)
	if err != nil && strings.Contains(err.Error(), "choose another directory") {
		missing(t, "direct", err)
	}
	if err != nil {
		t.Error(err)
	}
	params["block"] = "513B"
	err = Run(t.Context(), "io", params, dir, io.Discard)
	checkError(t, "513 bytes", err, "block 513B is not a multiple of 512 bytes")
}

func TestBadDirectory(t *testing.T) {
	dir := t.TempDir()
	params := quick("io")
	err := Run(t.Context(), "io", params, filepath.Join(dir, "absent"), io.Discard)
	checkError(t, "absent", err, "no such file or directory")
	params["block"], params["part"] = "2MiB", "seq_read"
	err = Run(t.Context(), "io", params, dir, io.Discard)
	checkError(t, "block", err, "block 2MiB is larger than the file, size 1MiB")
	if left := count(t, dir); left != 0 {
		t.Errorf("%d files are left", left)
	}
}

// On a tmpfs of a mebibyte, a file of two does not fit, and direct I/O is
// refused whether or not the kernel lets it be opened so.
func TestTmpfs(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root", "mounting a tmpfs needs it")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		missing(t, "mount", err)
	}
	defer unix.Unmount(dir, 0)
	for _, test := range []struct {
		name, key, value, want string
	}{
		{"full", "size", "2MiB", "no space left on device (choose a smaller size, or another directory)"},
		{"direct", "direct", "true", "tmpfs"},
	} {
		params := map[string]string{"duration": "1ms", "size": "512KiB", "part": "seq_read", test.key: test.value}
		err := Run(t.Context(), "io", params, dir, io.Discard)
		checkError(t, test.name, err, test.want)
		if left := count(t, dir); left != 0 {
			t.Errorf("%s: %d files are left", test.name, left)
		}
		if test.name == "direct" {
			checkError(t, test.name, err, "direct=false")
		}
	}
}

// missing skips a test, or fails it where PLIMSOLL_REQUIRE names what it
// needs: there, a test that does not run must not pass for one that does.
func missing(t *testing.T, capability string, reason any) {
	t.Helper()
	for name := range strings.SplitSeq(os.Getenv("PLIMSOLL_REQUIRE"), ",") {
		if name == capability {
			t.Fatalf("PLIMSOLL_REQUIRE names %s: %v", capability, reason)
		}
	}
	t.Skipf("%s: %v", capability, reason)
}
