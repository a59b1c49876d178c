package isolate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
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

// Rungs of bound's ladder.
const (
	boundBare   = 0
	boundSix    = 8  // six namespaces, overlay root, proc, pivot_root
	boundLimits = 9  // the same in cgroups with limits, which are made before and removed after it
	boundGroups = 10 // the groups alone
)

// yardstick is bound --serve: one launch for each rung asked for.
type yardstick struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startYardstick(t *testing.T, rootfs string, groups ...string) *yardstick {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bound")
	cc(t, "-O2", "-Wall", "-o", bin, "testdata/bound.c")
	return serveYardstick(t, bin, append([]string{"--serve", rootfs, dir}, groups...)...)
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

func cc(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// launch takes n launches of a rung: seconds from request to exit, of the last.
func (y *yardstick) launch(t *testing.T, rung, n int) float64 {
	t.Helper()
	io.WriteString(y.in, strings.Repeat(string(rune('0'+rung)), n))
	var ns float64
	for range n {
		line, err := y.out.ReadString('\n')
		if err == nil {
			ns, err = strconv.ParseFloat(strings.TrimSpace(line), 64)
		}
		if err != nil {
			t.Error(err)
			return 0
		}
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
	cc(t, "-O2", "-static", "-nostdlib", "-o", filepath.Join(dir, "true"), "testdata/true.c")
	return dir
}

// measuring is an engine as a run has it: on a thread of its own, with a
// marker cgroup and a process in it, and with a context that ends.
func measuring(t *testing.T) (*Engine, context.Context) {
	t.Helper()
	needMeasure(t)
	needRoot(t)
	host, err := cgroup.Detect("/")
	if err != nil {
		t.Fatal(err)
	}
	run, err := host.NewRun(fmt.Sprintf("measure-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(run)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	dir := t.TempDir()
	cc(t, "-O2", "-static", "-nostdlib", "-DWAIT", "-o", dir+"/wait", "testdata/true.c")
	if err := e.Keep(Spec{Path: dir + "/wait"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		runtime.UnlockOSThread()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := run.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e, ctx
}

func bareTrue(root string) Spec {
	return Spec{Path: root + "/true", Args: []string{"true"}, DieWithParent: true}
}

// sixTrue does what bound's last rung does.
func sixTrue(t *testing.T, lower string) Spec {
	dir := t.TempDir()
	for _, d := range []string{"merged", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return sixIn(dir, lower)
}

func sixIn(dir, lower string) Spec {
	return Spec{
		Path: "/true", Args: []string{"true"}, Namespaces: AllSix, Hostname: "c", Proc: true, DieWithParent: true,
		Root: &Root{Path: dir + "/merged", Overlay: &Overlay{Lower: []string{lower}, Upper: dir + "/upper", Work: dir + "/work"}},
	}
}

// startToExit runs the spec once: seconds.
func startToExit(t *testing.T, ctx context.Context, e *Engine, s Spec) float64 {
	t.Helper()
	c, err := e.Create(s)
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil {
		t.Error(err)
		return 0
	}
	exit, err := c.Wait(ctx)
	if err != nil || !exit.OK() {
		t.Error(exit, err)
	}
	return float64(exit.At-c.Requested()) / 1e9
}

// abba alternates a and b, ABBA and BAAB, after the same gap each.
func abba(rounds int, gap time.Duration, a, b func() float64) (as, bs []float64) {
	for i := range rounds {
		for k := range 4 {
			time.Sleep(gap)
			if (k == 0 || k == 3) == (i%2 == 0) {
				as = append(as, a())
			} else {
				bs = append(bs, b())
			}
		}
	}
	return as, bs
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// TestMeasureStart holds start to exit against the yardstick: at most 1.25 of
// it, bare and as a container. Both are served by processes of their own, on
// the same request: who asks has just used the other CPU, and a CPU that is
// awake makes a start faster.
func TestMeasureStart(t *testing.T) {
	needMeasure(t)
	needRoot(t)
	root := image(t)
	y := startYardstick(t, root)
	ours := startServe(t, root)
	for _, tt := range []struct {
		name string
		rung int
	}{
		{"bare", boundBare},
		{"six, overlay root, proc, pivot", boundSix},
	} {
		for _, gap := range []time.Duration{0, 20 * time.Millisecond} {
			a, b := abba(200, gap,
				func() float64 { return ours.launch(t, tt.rung, 1) },
				func() float64 { return y.launch(t, tt.rung, 1) })
			t.Logf("%s, gap %v: %.0f µs, yardstick %.0f µs, ratio %.3f (wanted: at most 1.25)",
				tt.name, gap, median(a)*1e6, median(b)*1e6, median(a)/median(b))
		}
	}
}

// startServe is the engine in a process of its own: see serve.
func startServe(t *testing.T, root string) *yardstick {
	t.Helper()
	dir := t.TempDir()
	cc(t, "-O2", "-static", "-nostdlib", "-DWAIT", "-o", dir+"/wait", "testdata/true.c")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PLIMSOLL_ACT", "serve")
	defer os.Unsetenv("PLIMSOLL_ACT")
	return serveYardstick(t, self, root, dir)
}

func init() { acts["serve"] = serve }

// serve does what bound --serve does, by the engine: ROOTFS WORKDIR.
func serve() error {
	root, dir := os.Args[1], os.Args[2]
	host, err := cgroup.Detect("/")
	if err != nil {
		return err
	}
	run, err := host.NewRun(fmt.Sprintf("serve-%d", os.Getpid()))
	if err != nil {
		return err
	}
	defer run.Remove(context.Background())
	e, err := NewEngine(run)
	if err != nil {
		return err
	}
	defer e.Close()
	runtime.LockOSThread()
	if err := e.Keep(Spec{Path: dir + "/wait"}); err != nil {
		return err
	}
	limited := sixIn(dir, root)
	limited.Group, limited.Limits = "c", measuredLimits
	specs := map[byte]Spec{'0' + boundBare: bareTrue(root), '0' + boundSix: sixIn(dir, root), '0' + boundLimits: limited}
	for _, d := range []string{"merged", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for request := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(request); err != nil {
			return nil
		}
		ns, err := serveOne(ctx, e, specs[request[0]])
		if err != nil {
			return err
		}
		fmt.Println(ns)
	}
}

// serveOne times a container from request to exit, and where it has limits
// from before its groups are made until they are removed.
func serveOne(ctx context.Context, e *Engine, s Spec) (int64, error) {
	begin := launch.Now()
	c, err := e.Create(s)
	if err == nil {
		err = c.Start(ctx)
	}
	if err != nil {
		return 0, err
	}
	exit, err := c.Wait(ctx)
	if err != nil || !exit.OK() {
		return 0, fmt.Errorf("%v: %w", exit, err)
	}
	if s.Group == "" {
		return exit.At - c.Requested(), nil
	}
	err = c.Remove(ctx)
	return launch.Now() - begin, err
}

// TestMeasureStamps compares starts with and without the clock readings.
func TestMeasureStamps(t *testing.T) {
	e, ctx := measuring(t)
	with := sixTrue(t, image(t))
	without := with
	without.NoStamps = true
	a, b := abba(500, 0,
		func() float64 { return startToExit(t, ctx, e, with) },
		func() float64 { return startToExit(t, ctx, e, without) })
	t.Logf("with stamps %.0f µs, without %.0f µs, ratio %.4f (wanted: at most 1.02)", median(a)*1e6, median(b)*1e6, median(a)/median(b))
}

// TestMeasureLaunchRate launches from two threads, against two processes of
// the yardstick: at least 0.8 of their rate.
func TestMeasureLaunchRate(t *testing.T) {
	e, ctx := measuring(t)
	root := image(t)
	const each = 150
	both := func(work func(worker int)) float64 {
		var wg sync.WaitGroup
		begin := time.Now()
		for worker := range 2 {
			wg.Go(func() {
				runtime.LockOSThread()
				work(worker)
			})
		}
		wg.Wait()
		return 2 * each / time.Since(begin).Seconds()
	}
	for _, tt := range []struct {
		name  string
		rung  int
		specs [2]Spec
	}{
		{"bare", boundBare, [2]Spec{bareTrue(root), bareTrue(root)}},
		{"six, overlay root, proc, pivot", boundSix, [2]Spec{sixTrue(t, root), sixTrue(t, root)}},
	} {
		yards := [2]*yardstick{startYardstick(t, root), startYardstick(t, root)}
		a, b := abba(8, 10*time.Millisecond,
			func() float64 {
				return both(func(w int) {
					for range each {
						startToExit(t, ctx, e, tt.specs[w])
					}
				})
			},
			func() float64 { return both(func(w int) { yards[w].launch(t, tt.rung, each) }) })
		t.Logf("%s, two workers: %.0f/s, yardstick %.0f/s, ratio %.3f (wanted: at least 0.8)", tt.name, median(a), median(b), median(a)/median(b))
	}
}

// TestMeasureKept starts a fleet of 1,000 and looks at what the harness
// itself keeps: at most 16 KiB each.
func TestMeasureKept(t *testing.T) {
	e, _ := measuring(t)
	root := image(t)
	cc(t, "-O2", "-static", "-nostdlib", "-DWAIT", "-o", filepath.Join(root, "wait"), "testdata/true.c")
	const n = 1000
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, beforeRSS, goroutines, fds := heap(), rss(t), runtime.NumGoroutine(), len(descriptors(t))
	var fleet []*Container
	for range n {
		spec := sixTrue(t, root)
		spec.Path = "/wait"
		c, err := e.Create(spec)
		if err == nil {
			err = c.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		fleet = append(fleet, c)
	}
	t.Logf("of each of %d containers the harness keeps %d B of heap, %d B of resident memory (wanted: at most 16384); %d goroutines, %d descriptors more in all",
		n, (heap()-before)/n, (rss(t)-beforeRSS)/n, runtime.NumGoroutine()-goroutines, len(descriptors(t))-fds)
	for _, c := range fleet {
		if err := c.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// rss is the resident memory of this process, in bytes (proc_pid_statm(5)).
func rss(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
