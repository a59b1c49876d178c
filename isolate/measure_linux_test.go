package isolate

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The measurements in this file hold the engine against testdata/bound.c, a C
// program that makes the same containers with no runtime around it. They are
// made alone, on a quiet machine: make measure.

func needMeasure(t *testing.T) {
	t.Helper()
	if os.Getenv("PLIMSOLL_MEASURE") == "" {
		t.Skip("a measurement: run with PLIMSOLL_MEASURE=1, alone on the machine")
	}
}

// yardstick is bound --serve: one launch for each rung asked for.
type yardstick struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startYardstick(t *testing.T, rootfs string) *yardstick {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bound")
	compile(t, "-O2", "-o", bin, "testdata/bound.c")
	return serveYardstick(t, bin, "--serve", rootfs, dir)
}

func serveYardstick(t *testing.T, bin string, args ...string) *yardstick {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return &yardstick{in, bufio.NewReader(out)}
}

func compile(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// launch takes rung n of the ladder: seconds from request to exit.
func (y *yardstick) launch(t *testing.T, n int) float64 {
	t.Helper()
	fmt.Fprintf(y.in, "%d", n)
	line, err := y.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	if err != nil {
		t.Fatal(err)
	}
	return ns / 1e9
}

// image makes a root directory that holds the shortest program as /true.
func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"proc", "sys", "dev", "data", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	compile(t, "-O2", "-static", "-nostdlib", "-o", filepath.Join(dir, "true"), "testdata/true.c")
	return dir
}

// TestMeasureAgainstYardstick alternates ABBA with the yardstick, at the same
// pace and with the same program.
func TestMeasureAgainstYardstick(t *testing.T) {
	needMeasure(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	root := image(t)
	y := startYardstick(t, root)
	e := newTestEngine(t)
	for _, tt := range []struct {
		name string
		rung int
		spec func() Spec
	}{
		{"bare", 0, func() Spec { return Spec{Path: root + "/true", Args: []string{"true"}} }},
		{"six, overlay root, proc, pivot", 8, func() Spec { return rungRoot(t, root) }},
	} {
		for _, gap := range []time.Duration{0, 20 * time.Millisecond} {
			var a, b []float64
			spec := tt.spec()
			spec.DieWithParent = true
			for i := range 200 {
				for k := range 4 {
					time.Sleep(gap)
					if (k == 0 || k == 3) == (i%2 == 0) {
						a = append(a, startToExit(t, e, spec))
					} else {
						b = append(b, y.launch(t, tt.rung))
					}
				}
			}
			slices.Sort(a)
			slices.Sort(b)
			ma, mb := a[len(a)/2], b[len(b)/2]
			t.Logf("%s, gap %v: ours %.0f µs, yardstick %.0f µs, ratio %.3f", tt.name, gap, ma*1e6, mb*1e6, ma/mb)
		}
	}
}

// startToExit takes one container's life: seconds.
func startToExit(t *testing.T, e *Engine, spec Spec) float64 {
	t.Helper()
	c, err := e.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit, err := c.Wait(t.Context())
	if err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	return float64(exit.At-c.Requested()) / 1e9
}

func rungRoot(t *testing.T, lower string) Spec {
	dir := t.TempDir()
	for _, d := range []string{"merged", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return Spec{
		Path: "/true", Args: []string{"true"}, Namespaces: AllSix, Hostname: "c", Proc: true,
		Root: &Root{Path: dir + "/merged", Overlay: &Overlay{Lower: []string{lower}, Upper: dir + "/upper", Work: dir + "/work"}},
	}
}

func newTestEngine(t *testing.T) *Engine {
	t.Helper()
	e, err := NewEngine(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}
