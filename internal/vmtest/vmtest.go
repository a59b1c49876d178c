// Package vmtest runs Go tests under a kernel other than this machine's: it
// boots one in QEMU's software emulation, with the cgroup layout asked for, and
// runs test binaries inside as root and, in a machine beside it, as an ordinary
// user.
//
// Why not a library: u-root/vmtest cannot be had from the module proxy, and
// vimto neither; vimto also wants 9p and virtio compiled into the kernel, where
// the kernels that people run (Debian's) have virtio as modules and the cloud
// flavour no 9p; hugelgupf/vmtest is no longer kept. Cgroup v1 and the same tests
// as a user with a delegated cgroup would be ours to write with any of them.
//
// The way of a run, each step in a file of its own: a kernel package is fetched
// once (kernel.go); its modules are resolved (modules.go); test binaries, init,
// busybox and modules become an initramfs (image.go, cpio.go); QEMU boots it
// (qemu.go) and init (package guest) reports events (reporter.go); test2json makes
// them what go test -json would have printed (verdict.go). skips.go compares
// machines.
package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plimsoll/internal/vmtest/guest"
)

// Config says what to run and where.
type Config struct {
	Kernel   Kernel
	Cgroup   string   // v1, v2 or hybrid
	Init     string   // process 1: "systemd", or "" for one of our own
	Append   string   // added to the kernel's command line
	Packages []string // as for go test
	Users    []string // root, user: each binary runs as each of them
	Programs []string // programs of this host that the guest has too, with their libraries
	Modules  []string // modules that can be loaded on demand, beside those that always can
	OpenZFS  string   // the directory that BuildOpenZFS gave, or "" for no ZFS
	Files    []string // absolute paths of this host, files or directories, copied to the same place

	Run     string            // as go test -run
	Skip    string            // as go test -skip
	Short   bool              // as go test -short
	Verbose bool              // show all output as it comes
	Require map[string]string // PLIMSOLL_REQUIRE, by user
	Env     []string          // more of the tests' environment, NAME=VALUE

	Timeout time.Duration // of one test binary
	Limit   time.Duration // of the machine, from boot to power off
	CPUs    int
	Memory  int // MiB
	Scratch int // MiB of the disk that TMPDIR is on, sparse on this host
	Swap    int // MiB of it; 0 for none

	// Out is a directory for what remains: USER.json as go test -json prints
	// it, USER.console, coverage of all users together in cover/ (see go tool
	// covdata) and as a profile for go tool cover in cover.out.
	Out string
}

// ErrTests is returned when the machine did its work and some test failed.
var ErrTests = errors.New("some tests failed")

// Run builds, boots and reports on stdout in the words of go test.
func Run(ctx context.Context, c Config, stdout io.Writer) error {
	if !slices.Contains([]string{"v1", "v2", "hybrid"}, c.Cgroup) {
		return fmt.Errorf("unknown cgroup layout %q: v1, v2 or hybrid", c.Cgroup)
	}
	if c.Init != "" && c.Init != "systemd" {
		return fmt.Errorf("unknown init %q: systemd, or none for our own", c.Init)
	}
	began := time.Now()
	if err := c.clearOut(); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "vmtest-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tests, err := buildTests(ctx, tmp, c.Packages)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("not finished after %v", c.Limit))
	defer cancel()
	shared := &lockedWriter{w: stdout}
	reporters := make([]reporter, len(c.Users))
	errs := make([]error, len(c.Users))
	var machines sync.WaitGroup
	for i, user := range c.Users {
		machines.Go(func() {
			reporters[i] = reporter{ctx: ctx, config: c, user: user, tests: tests, stdout: shared}
			errs[i] = c.runAs(limited, tmp, &reporters[i])
		})
	}
	machines.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Of all users together; a single run says little where users differ.
	coverage, err := output(ctx, "", "go", "tool", "covdata", "percent", "-i="+c.coverDir())
	if err != nil {
		return err
	}
	if _, err := output(ctx, "", "go", "tool", "covdata", "textfmt", "-i="+c.coverDir(), "-o="+filepath.Join(c.Out, "cover.out")); err != nil {
		return err
	}
	var sum verdict
	failed := false
	for _, r := range reporters {
		sum.pass, sum.fail, sum.skip = sum.pass+r.pass, sum.fail+r.fail, sum.skip+r.skip
		failed = failed || r.failed
	}
	fmt.Fprintf(stdout, "%s%d passed, %d failed, %d skipped in %.0f s; results in %s\n",
		coverage, sum.pass, sum.fail, sum.skip, time.Since(began).Seconds(), c.Out)
	if failed {
		return ErrTests
	}
	return nil
}

// runAs has a machine run all tests as one user.
func (c Config) runAs(ctx context.Context, tmp string, r *reporter) error {
	dir := filepath.Join(tmp, r.user)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	m, err := c.prepare(ctx, dir, r.user, r.tests)
	if err != nil {
		return err
	}
	if err := m.bootAgain(ctx, r.handle); err != nil {
		r.cutShort()
		return fmt.Errorf("as %s: %w", r.user, err)
	}
	return nil
}

// clearOut removes what an earlier run left, and nothing else.
func (c Config) clearOut() error {
	if err := os.MkdirAll(c.coverDir(), 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(c.coverDir(), "cov*"))
	if err != nil {
		return err
	}
	old = append(old, filepath.Join(c.Out, "cover.out"))
	for _, u := range []string{"root", "user"} {
		old = append(old, c.results(u), c.console(u))
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func (c Config) coverDir() string           { return filepath.Join(c.Out, "cover") }
func (c Config) results(user string) string { return filepath.Join(c.Out, user+".json") }
func (c Config) console(user string) string { return filepath.Join(c.Out, user+".console") }

// prepare makes the files of a machine, in tmp.
func (c Config) prepare(ctx context.Context, tmp, user string, tests []testPackage) (machine, error) {
	m := machine{
		kernel:  c.Kernel.Image,
		initrd:  filepath.Join(tmp, "initrd.cpio"),
		disk:    filepath.Join(tmp, "scratch.ext4"),
		console: c.console(user),
		append:  c.Append,
		cpus:    c.CPUs,
		memory:  c.Memory,
	}
	if _, err := output(ctx, tmp, "mkfs.ext4", "-q", "-F", m.disk, fmt.Sprintf("%dM", c.Scratch)); err != nil {
		return m, fmt.Errorf("%w (hint: apt-get install e2fsprogs)", err)
	}
	t := tree{}
	packed, err := addModules(t, c.Kernel, slices.Concat(bootModules, demandModules, c.Modules))
	if err != nil {
		return m, err
	}
	if _, err := os.Stat(c.Kernel.Config); err == nil {
		t.copy("boot/config-"+c.Kernel.Release, c.Kernel.Config, 0o644)
	}
	job := c.job(user, tests)
	job.Nodes = staticNodes(packed)
	for _, b := range bootModules {
		if _, ok := packed[b]; ok { // else it is built in
			job.Modules = append(job.Modules, b)
		}
	}
	for _, name := range c.Modules {
		if !c.Kernel.builtIn(name) && packed[moduleName(name)].path == "" {
			return m, fmt.Errorf("kernel %s has no module %s", c.Kernel.Release, name)
		}
	}
	if err := addGuest(ctx, t, tmp, job, tests, c.Programs); err != nil {
		return m, err
	}
	if c.OpenZFS != "" {
		if err := addOpenZFS(ctx, t, c.OpenZFS); err != nil {
			return m, err
		}
	}
	if c.Init == "systemd" {
		m.append += " " + systemdLayout(c.Cgroup)
		if err := addSystemd(ctx, t); err != nil {
			return m, err
		}
	}
	for _, f := range c.Files {
		if err := addFiles(t, f, strings.TrimPrefix(filepath.Clean(f), "/")); err != nil {
			return m, fmt.Errorf("file for the guest: %w", err)
		}
	}
	f, err := os.Create(m.initrd)
	if err != nil {
		return m, err
	}
	defer f.Close()
	return m, t.writeCpio(f)
}

// job lists the runs, one for each test binary.
func (c Config) job(user string, tests []testPackage) guest.Job {
	j := guest.Job{Cgroup: c.Cgroup, Init: c.Init, Timeout: c.Timeout, Limit: c.Limit, Swap: c.Swap}
	for i, t := range tests {
		j.Runs = append(j.Runs, guest.Run{
			User: user,
			Path: "/" + guestBinary(i),
			Dir:  "/" + guestDir(t),
			Args: []string{
				"-test.v=test2json", "-test.paniconexit0", "-test.run=" + c.Run, "-test.skip=" + c.Skip, "-test.short=" + strconv.FormatBool(c.Short),
				"-test.timeout=" + c.Timeout.String(), "-test.gocoverdir=" + guest.CoverDir,
			},
			Env: append([]string{"PLIMSOLL_REQUIRE=" + c.Require[user]}, c.Env...),
		})
	}
	return j
}
