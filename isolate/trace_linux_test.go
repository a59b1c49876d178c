package isolate

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"plimsoll/isolate/launch"
)

// TestMeasureBreakdown holds the phases that a start reports against the
// kernel's own trace of the child's system calls: the order of the five
// largest must agree. The trace is another clock reading, by other code.
func TestMeasureBreakdown(t *testing.T) {
	e, _ := measuring(t)
	spec := sixTrue(t, image(t))
	trace := openTrace(t)
	const starts = 200
	stamped, traced := map[string][]float64{}, map[string][]float64{}
	for range starts {
		trace.clear()
		c, err := e.Create(spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		phases := c.Phases()
		for i, ph := range phases[:len(phases)-1] { // execve has no end of its own here
			stamped[ph.Name] = append(stamped[ph.Name], float64(phases[i+1].Begin-ph.Begin)/1e3)
		}
		program := Compile(&spec, e.files(nil, nil, nil), c.join, e.Missing())
		begins := trace.calls(c.PID(), len(program.Ops))
		for i, op := range program.Ops {
			if i > 0 && op.Phase == program.Ops[i-1].Phase {
				continue
			}
			end := slices.IndexFunc(program.Ops[i:], func(o launch.Op) bool { return o.Phase != op.Phase })
			if end >= 0 {
				traced[op.Phase] = append(traced[op.Phase], begins[i+end]-begins[i])
			}
		}
	}
	// The clone is the parent's call: the child's trace begins after it.
	delete(stamped, "clone")
	delete(stamped, "compile")
	ours, kernels := largest(stamped), largest(traced)
	for i := range 5 {
		t.Logf("%d. %-16s %6.1f µs   trace: %-16s %6.1f µs", i+1, ours[i], median(stamped[ours[i]]), kernels[i], median(traced[kernels[i]]))
	}
	if !slices.Equal(ours[:5], kernels[:5]) {
		t.Errorf("the five largest are %v, by the kernel's trace %v", ours[:5], kernels[:5])
	}
}

func largest(phases map[string][]float64) []string {
	var names []string
	for name := range phases {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(median(phases[b]), median(phases[a])) })
	return names
}

// trace is an instance of ftrace that records the entries of system calls.
type trace struct {
	t   *testing.T
	dir string
}

// openTrace makes an instance of its own, on a mount of its own: the host's
// tracing is left alone (Documentation/trace/ftrace.rst, "Instances").
func openTrace(t *testing.T) *trace {
	t.Helper()
	root := t.TempDir()
	if err := unix.Mount("tracefs", root, "tracefs", 0, ""); err != nil {
		need(t, "ftrace", false)
	}
	t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	tr := &trace{t, filepath.Join(root, "instances", fmt.Sprintf("plimsoll-%d", os.Getpid()))}
	if err := os.Mkdir(tr.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tr.write("events/enable", "0")
		if err := os.Remove(tr.dir); err != nil {
			t.Error(err)
		}
	})
	tr.write("trace_clock", "mono")
	tr.write("events/raw_syscalls/sys_enter/enable", "1")
	return tr
}

func (tr *trace) write(file, data string) {
	tr.t.Helper()
	if err := os.WriteFile(filepath.Join(tr.dir, file), []byte(data), 0); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *trace) clear() { tr.write("trace", "") }

var sysEnter = regexp.MustCompile(`-(\d+) +\[\d+\].* (\d+\.\d+): sys_enter: NR (-?\d+)`)

// calls gives when the child began its first n calls, in µs, less those that
// stamp.
func (tr *trace) calls(pid, n int) []float64 {
	tr.t.Helper()
	f, err := os.Open(filepath.Join(tr.dir, "trace"))
	if err != nil {
		tr.t.Fatal(err)
	}
	defer f.Close()
	var begins []float64
	for lines := bufio.NewScanner(f); lines.Scan() && len(begins) < n; {
		m := sysEnter.FindStringSubmatch(lines.Text())
		if m == nil || m[1] != strconv.Itoa(pid) || m[3] == strconv.Itoa(unix.SYS_CLOCK_GETTIME) {
			continue
		}
		at, err := strconv.ParseFloat(strings.TrimSpace(m[2]), 64)
		if err != nil {
			tr.t.Fatal(err)
		}
		begins = append(begins, at*1e6)
	}
	if len(begins) < n {
		tr.t.Fatalf("the trace has %d calls of process %d, the program %d", len(begins), pid, n)
	}
	return begins
}
