// Package vmtest runs Go tests under a kernel other than this machine's: it
// boots one in QEMU's software emulation, with the cgroup layout asked for, and
// runs test binaries inside as root and as an ordinary user.
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
// (qemu.go) and init (package guest) reports events; test2json makes them what
// go test -json would have printed (verdict.go). skips.go compares machines.
package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	Files    []string // absolute paths of this host, files or directories, copied to the same place

	Run     string            // as go test -run
	Verbose bool              // show all output as it comes
	Require map[string]string // PLIMSOLL_REQUIRE, by user

	Timeout time.Duration // of one test binary
	Limit   time.Duration // of the machine, from boot to power off
	CPUs    int
	Memory  int // MiB
	Scratch int // MiB of the disk that TMPDIR is on, sparse on this host
	Swap    int // MiB of it; 0 for none

	// Out is a directory for what remains: USER.json as go test -json prints
	// it, coverage in cover/ (see go tool covdata), console.log.
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
	m, job, err := c.prepare(ctx, tmp, tests)
	if err != nil {
		return err
	}
	r := reporter{ctx: ctx, config: c, job: job, tests: tests, stdout: stdout}
	limited, cancel := context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("not finished after %v", c.Limit))
	defer cancel()
	if err := m.boot(limited, r.handle); err != nil {
		r.cutShort()
		return err
	}
	// Of all users together; a single run says little where users differ.
	coverage, err := output(ctx, "", "go", "tool", "covdata", "percent", "-i="+c.coverDir())
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s%d passed, %d failed, %d skipped; results in %s\n", coverage, r.pass, r.fail, r.skip, c.Out)
	if r.failed {
		return ErrTests
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
	for _, u := range []string{"root", "user"} {
		old = append(old, c.results(u))
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

// prepare makes the files of the machine.
func (c Config) prepare(ctx context.Context, tmp string, tests []testPackage) (machine, guest.Job, error) {
	m := machine{
		kernel:  c.Kernel.Image,
		initrd:  filepath.Join(tmp, "initrd.cpio"),
		disk:    filepath.Join(tmp, "scratch.ext4"),
		console: filepath.Join(c.Out, "console.log"),
		append:  c.Append,
		cpus:    c.CPUs,
		memory:  c.Memory,
	}
	if _, err := output(ctx, tmp, "mkfs.ext4", "-q", "-F", m.disk, fmt.Sprintf("%dM", c.Scratch)); err != nil {
		return m, guest.Job{}, fmt.Errorf("%w (hint: apt-get install e2fsprogs)", err)
	}
	t := tree{}
	packed, err := addModules(t, c.Kernel, slices.Concat(bootModules, demandModules, c.Modules))
	if err != nil {
		return m, guest.Job{}, err
	}
	job := c.job(tests)
	job.Nodes = staticNodes(packed)
	for _, b := range bootModules {
		if _, ok := packed[b]; ok { // else it is built in
			job.Modules = append(job.Modules, b)
		}
	}
	for _, name := range c.Modules {
		if !c.Kernel.builtIn(name) && packed[moduleName(name)].path == "" {
			return m, job, fmt.Errorf("kernel %s has no module %s", c.Kernel.Release, name)
		}
	}
	if err := addGuest(ctx, t, tmp, job, tests, c.Programs); err != nil {
		return m, job, err
	}
	if c.Init == "systemd" {
		m.append += " " + systemdLayout(c.Cgroup)
		if err := addSystemd(ctx, t); err != nil {
			return m, job, err
		}
	}
	for _, f := range c.Files {
		if err := addFiles(t, f, strings.TrimPrefix(filepath.Clean(f), "/")); err != nil {
			return m, job, fmt.Errorf("file for the guest: %w", err)
		}
	}
	f, err := os.Create(m.initrd)
	if err != nil {
		return m, job, err
	}
	defer f.Close()
	return m, job, t.writeCpio(f)
}

// job lists the runs: all tests as the first user, then as the next.
func (c Config) job(tests []testPackage) guest.Job {
	j := guest.Job{Cgroup: c.Cgroup, Init: c.Init, Timeout: c.Timeout, Limit: c.Limit, Swap: c.Swap}
	for _, user := range c.Users {
		for i, t := range tests {
			j.Runs = append(j.Runs, guest.Run{
				User: user,
				Path: "/" + guestBinary(i),
				Dir:  "/" + guestDir(t),
				Args: []string{
					"-test.v=test2json", "-test.paniconexit0", "-test.run=" + c.Run,
					"-test.timeout=" + c.Timeout.String(), "-test.gocoverdir=" + guest.CoverDir,
				},
				Env: []string{"PLIMSOLL_REQUIRE=" + c.Require[user]},
			})
		}
	}
	return j
}

// reporter turns the guest's events into files and lines for a person.
type reporter struct {
	ctx    context.Context
	config Config
	job    guest.Job
	tests  []testPackage
	stdout io.Writer

	current          *converter // of the run in progress
	run              int        // its index
	pass, fail, skip int
	failed           bool
}

func (r *reporter) handle(e guest.Event) (err error) {
	switch e.Kind {
	case guest.Boot:
		fmt.Fprintf(r.stdout, "vm: Linux %s, cgroup %s, init after %.1fs\n", e.Name, r.config.Cgroup, e.Took)
	case guest.Start:
		r.run = e.Run
		r.current, err = newConverter(r.ctx, r.pkg(e.Run))
	case guest.Output:
		if r.config.Verbose {
			io.WriteString(r.stdout, strings.ReplaceAll(string(e.Data), marker, ""))
		}
		_, err = r.current.in.Write(e.Data)
	case guest.Exit:
		err = r.exit(e)
	case guest.File:
		err = os.WriteFile(filepath.Join(r.config.coverDir(), filepath.Base(e.Name)), e.Data, 0o644)
	}
	return err
}

// cutShort says which test the machine died in, and what that had printed.
func (r *reporter) cutShort() {
	if r.current != nil {
		r.exit(guest.Event{Run: r.run, Status: "the virtual machine ended"})
	}
}

func (r *reporter) pkg(run int) string { return r.tests[run%len(r.tests)].Path }

func (r *reporter) exit(e guest.Event) error {
	user, pkg := r.job.Runs[e.Run].User, r.pkg(e.Run)
	// These lines of go test are the go command's, not the binary's.
	line := fmt.Sprintf("ok  \t%s\t%.3fs", pkg, e.Took)
	if e.Status != "" {
		line = fmt.Sprintf("FAIL\t%s\t%.3fs", pkg, e.Took)
		if _, err := fmt.Fprintln(r.current.in, e.Status); err != nil {
			return err
		}
	}
	out, err := r.current.finish(marker + line + "\n")
	r.current = nil
	if err != nil {
		return err
	}
	if err := appendFile(r.config.results(user), out); err != nil {
		return err
	}
	events, err := readEvents(strings.NewReader(out))
	if err != nil {
		return err
	}
	v := judge(events)
	r.pass, r.fail, r.skip = r.pass+v.pass, r.fail+v.fail, r.skip+v.skip
	if e.Status != "" {
		r.failed = true
		if !r.config.Verbose {
			io.WriteString(r.stdout, strings.TrimSuffix(v.log, line+"\n"))
		}
	}
	_, err = fmt.Fprintf(r.stdout, "%s\tas %s: %d passed, %d failed, %d skipped\n",
		line, user, v.pass, v.fail, v.skip)
	return err
}

func appendFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
