// Vmtest runs the tests of Go packages in a virtual machine, under another
// kernel and another cgroup layout, as root and as an ordinary user. It needs
// no privilege, no KVM and no image: a Debian kernel, busybox-static, e2fsprogs
// and qemu-system-x86_64.
//
//	vmtest run ./isolate/... ./hostcheck/...
//	vmtest run -release bullseye -cgroup v1 -run Memory -v ./isolate/cgroup
//	vmtest skips -here host.json root.json user.json
//
// skips compares outputs of go test -json, one for each machine and user, and
// fails if a test was skipped on all of them, unless exempt.go says why. With
// -here it first runs such tests on this host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"plimsoll/internal/vmtest"
)

func main() {
	// An ordinary user's path has no mkfs.ext4.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vmtest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) > 1 {
		switch args[0] {
		case "run":
			return test(ctx, args[1:], stdout)
		case "skips":
			return skips(ctx, args[1:], stdout)
		}
	}
	return errors.New("usage: vmtest run [flags] PACKAGES, or vmtest skips FILES")
}

func test(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("vmtest run", flag.ExitOnError)
	var c vmtest.Config
	release := fs.String("release", "bookworm", "Debian `release` whose kernel is booted: bullseye (5.10), bookworm (6.1), trixie (6.12)")
	flavour := fs.String("flavour", "cloud", "cloud or generic")
	kernel := fs.String("kernel", "", "`directory` with boot/vmlinuz-* and lib/modules, instead of a Debian release")
	users := fs.String("users", "root,user", "whom to run the tests as")
	programs := fs.String("with", "newuidmap,newgidmap", "`programs` of this host that the guest gets too, if they are here")
	modules := fs.String("module", "", "more `modules` that the guest can load, dm_raid or dm-raid")
	openZFS := fs.Bool("openzfs", false, "the guest gets OpenZFS, which is compiled the first time: for Debian's kernels")
	env := fs.String("env", "", "more of the environment of tests, `NAME=VALUE`s, as PLIMSOLL_MEASURE=1")
	files := fs.String("file", "", "absolute `paths` of this host, files or directories, that the guest gets too")
	require := fs.String("require", os.Getenv("PLIMSOLL_REQUIRE"), "PLIMSOLL_REQUIRE for root")
	requireUser := fs.String("require-user", "", "PLIMSOLL_REQUIRE for the ordinary user")
	fs.StringVar(&c.Cgroup, "cgroup", "v2", "v1, v2 or hybrid")
	fs.StringVar(&c.Init, "init", "", "systemd: this host's is process 1 of the machine, with a manager of the user's")
	fs.StringVar(&c.Append, "append", "", "more kernel command `line`, as cgroup_disable=memory")
	fs.StringVar(&c.Run, "run", "", "as go test -run")
	fs.StringVar(&c.Skip, "skip", "", "as go test -skip")
	fs.BoolVar(&c.Short, "short", false, "as go test -short")
	fs.BoolVar(&c.Verbose, "v", false, "show all output as it comes")
	fs.DurationVar(&c.Timeout, "timeout", 3*time.Minute, "of one test binary")
	fs.DurationVar(&c.Limit, "kill-after", 5*time.Minute, "of the machine, from boot to power off")
	fs.IntVar(&c.CPUs, "smp", 1, "processors of each machine; there is a machine for each user")
	fs.IntVar(&c.Memory, "m", 2048, "memory in MiB")
	fs.IntVar(&c.Scratch, "scratch", 4096, "size in MiB of the disk under TMPDIR, a sparse file here")
	fs.IntVar(&c.Swap, "swap", 0, "swap space on it in MiB")
	fs.StringVar(&c.Out, "out", "", "`directory` for results, coverage and console.log (default a fresh one)")
	fs.Parse(args)
	c.Packages = fs.Args()
	c.Users, c.Modules, c.Files, c.Env = list(*users), list(*modules), list(*files), list(*env)
	c.Require = map[string]string{"root": *require, "user": *requireUser}
	for _, p := range list(*programs) {
		if _, err := exec.LookPath(p); err == nil {
			c.Programs = append(c.Programs, p)
		} else {
			fmt.Fprintf(stdout, "vm: without %s, which is not installed here\n", p)
		}
	}
	var err error
	if c.Out == "" {
		c.Out, err = os.MkdirTemp("", "vmtest-out-")
	} else {
		c.Out, err = filepath.Abs(c.Out)
	}
	if err != nil {
		return err
	}
	if *kernel != "" {
		c.Kernel, err = vmtest.FindKernel(*kernel)
	} else {
		c.Kernel, err = vmtest.FetchKernel(ctx, *release, *flavour)
	}
	if err != nil {
		return err
	}
	if *openZFS {
		if *kernel != "" {
			return errors.New("-openzfs is for Debian's kernels; for one that has it in -kernel DIR: -module zfs -with zpool,zfs")
		}
		if c.OpenZFS, err = vmtest.BuildOpenZFS(ctx, c.Kernel, *release, *flavour); err != nil {
			return err
		}
		c.Modules = append(c.Modules, "zfs")
	}
	return vmtest.Run(ctx, c, stdout)
}

// list is a flag's comma-separated value.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

func skips(ctx context.Context, args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("vmtest skips", flag.ExitOnError)
	here := fs.String("here", "", "`file` for the output of the tests that no machine ran: they are run on this host")
	in := fs.String("in", "", "`directory` of the files")
	fs.Parse(args)
	machines, outcomes, err := readAll(*in, fs.Args())
	if err != nil {
		return err
	}
	t := vmtest.Skips(machines, outcomes, exempt)
	if rest := t.Unproven(); *here != "" && len(rest) > 0 {
		f, err := os.Create(filepath.Join(*in, *here))
		if err != nil {
			return err
		}
		if err := errors.Join(vmtest.TestHere(ctx, rest, f), f.Close()); err != nil {
			return err
		}
		if machines, outcomes, err = readAll(*in, append([]string{*here}, fs.Args()...)); err != nil {
			return err
		}
		t = vmtest.Skips(machines, outcomes, exempt)
	}
	fmt.Fprint(stdout, t)
	if n := len(t.Unproven()); n > 0 {
		return fmt.Errorf("%d tests were skipped on every machine", n)
	}
	return nil
}

func readAll(dir string, files []string) (machines []string, all []vmtest.Outcomes, err error) {
	for _, name := range files {
		machines = append(machines, strings.TrimSuffix(name, ".json"))
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, nil, err
		}
		o, err := vmtest.ReadOutcomes(f)
		f.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, o)
	}
	return machines, all, nil
}
