package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/isolate"
	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
	"plimsoll/isolate/network"
)

// oci is a runtime with runc's command line, which crun, youki and others
// share. An instance that ends by itself is one "run" in the foreground, timed
// until the runtime exits; one that stays up is "run --detach", as under
// containerd: no process of the runtime is left beside it.
//
// On one of the run's own networks an instance joins a network namespace that
// was made for it before, as these runtimes have it from those who call them
// (CNI). Its path is a descriptor of ours: it has no name to be left behind.
type oci struct {
	engine   *isolate.Engine
	networks map[string]*network.Net
	name     string
	path     string // as the user named it; looked up in PATH
	state    string // directory for the runtime's --root
	group    string // cgroup path below which instances are made
	run      *cgroup.Run
}

func (o *oci) Name() string { return o.name }

func (o *oci) Probe(ctx context.Context, image Image) (Info, error) {
	info := Info{Limits: true, Networks: true, Lifecycle: true, Container: true}
	path, err := exec.LookPath(o.path)
	if err != nil {
		missing := &Missing{Reason: fmt.Sprintf("%s: not found in PATH", o.path)}
		if filepath.Base(o.path) == o.path {
			missing.Fix = "apt-get install " + o.path
		}
		return info, missing
	}
	if os.Getuid() != 0 {
		return info, &Missing{Reason: o.name + " is driven as root here", Fix: "run with sudo"}
	}
	if info.Path, err = filepath.Abs(path); err != nil {
		return info, err
	}
	o.path = info.Path
	if info.Version, err = version(ctx, o.path); err != nil {
		return info, err
	}
	return info, try(ctx, o, image, Instance{Network: "none"})
}

// version is the first line that the program says of itself.
func version(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", &Missing{Reason: fmt.Sprintf("%s --version: %v", path, err)}
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), nil
}

func (o *oci) Create(_ context.Context, i Instance) (Container, error) { return o.create(i) }

func (o *oci) create(i Instance) (_ *ociContainer, err error) {
	c := &ociContainer{oci: o, instance: i}
	defer func() {
		if err != nil {
			c.link.Close()
		}
	}()
	netns := ""
	if n := o.networks[i.Network]; n != nil {
		begin := launch.Now()
		if c.link, err = n.Namespace(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		c.joined = since(begin)
		netns = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), c.link.Fd())
	}
	config, err := json.Marshal(o.bundle(i, netns))
	if err != nil {
		return nil, fmt.Errorf("%s: config.json: %w", o.name, err)
	}
	if err := os.WriteFile(filepath.Join(i.Dir, "config.json"), config, 0o644); err != nil {
		return nil, fmt.Errorf("%s: write the bundle: %w", o.name, err)
	}
	args := []string{"--root", o.state, "run", "--bundle", i.Dir}
	if i.Hold {
		args = append(args, "--detach", "--pid-file", filepath.Join(i.Dir, "pid"))
	}
	c.run, err = o.engine.Create(isolate.Spec{
		Path: o.path, Args: append(args, i.ID), Env: os.Environ(),
		Stdout: i.Stdout, Stderr: i.Stderr, NewGroup: true, DieWithParent: true,
	})
	return c, err
}

type ociContainer struct {
	oci      *oci
	instance Instance
	run      *isolate.Container // the runtime's own process
	link     *os.File           // its network namespace, if it was made for it
	joined   time.Duration      // spent on that
	init     int                // pid of a detached container's first process
	ended    *launch.Exit
}

func (c *ociContainer) Start(ctx context.Context) error {
	if err := c.run.Start(ctx); err != nil {
		return fmt.Errorf("%s run: %w", c.oci.name, err)
	}
	if !c.instance.Hold {
		return nil
	}
	exit, err := c.run.Wait(ctx)
	if err != nil {
		return fmt.Errorf("%s run --detach: %w", c.oci.name, err)
	}
	if !exit.OK() {
		return fmt.Errorf("%s run --detach: %s%s", c.oci.name, exit, c.said())
	}
	text, err := os.ReadFile(filepath.Join(c.instance.Dir, "pid"))
	if err != nil {
		return fmt.Errorf("%s run --detach: %w", c.oci.name, err)
	}
	if c.init, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("%s run --detach: pid file: %w", c.oci.name, err)
	}
	return nil
}

// said is what the runtime wrote to standard error, for its error messages.
func (c *ociContainer) said() string {
	if c.instance.Stderr == nil {
		return ""
	}
	text := make([]byte, 4096)
	n, _ := c.instance.Stderr.ReadAt(text, 0)
	if said := strings.TrimSpace(string(text[:n])); said != "" {
		return ": " + said
	}
	return ""
}

func (c *ociContainer) Wait(ctx context.Context) (launch.Exit, error) {
	if c.init != 0 {
		return c.await(ctx)
	}
	exit, err := c.run.Wait(ctx)
	if err == nil && !exit.OK() {
		if said := c.said(); said != "" {
			err = fmt.Errorf("%s run: %s%s", c.oci.name, exit, said)
		}
	}
	return exit, err
}

// await waits for a detached container's first process, which the kernel has
// made a child of this one (PR_SET_CHILD_SUBREAPER).
func (c *ociContainer) await(ctx context.Context) (launch.Exit, error) {
	if c.ended != nil {
		return *c.ended, nil
	}
	stop := context.AfterFunc(ctx, func() { unix.Kill(c.init, unix.SIGKILL) })
	defer stop()
	var status syscall.WaitStatus
	var usage syscall.Rusage
	for {
		_, err := syscall.Wait4(c.init, &status, 0, &usage)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			return launch.Exit{}, fmt.Errorf("wait for process %d of %s: %w", c.init, c.oci.name, err)
		}
	}
	exit := launch.Exit{Code: status.ExitStatus(), At: launch.Now(), User: usage.Utime.Nano(), System: usage.Stime.Nano()}
	if status.Signaled() {
		exit.Code, exit.Signal = -1, status.Signal()
	}
	c.ended = &exit
	return exit, context.Cause(ctx)
}

func (c *ociContainer) Stop(ctx context.Context, grace time.Duration) (launch.Exit, error) {
	if c.init == 0 {
		return c.run.Stop(ctx, grace)
	}
	if err := unix.Kill(c.init, unix.SIGTERM); err != nil && err != unix.ESRCH {
		return launch.Exit{}, fmt.Errorf("stop process %d of %s: %w", c.init, c.oci.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	exit, err := c.await(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // killed after the grace: that is what a stop does
	}
	return exit, err
}

// Remove takes the runtime's record, its cgroups and what still runs away. A
// container in the foreground that ended by itself left nothing.
func (c *ociContainer) Remove(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	defer c.link.Close()
	err := c.run.Remove(ctx)
	if _, statErr := os.Stat(filepath.Join(c.oci.state, c.instance.ID)); errors.Is(statErr, os.ErrNotExist) {
		return err
	}
	if err := c.oci.command(ctx, nil, "delete", "--force", c.instance.ID); err != nil {
		return err
	}
	if c.init != 0 {
		_, waitErr := c.await(ctx)
		err = errors.Join(err, waitErr)
	}
	return err
}

func (c *ociContainer) Lifecycle() Lifecycle { return c }

func (c *ociContainer) Exec(ctx context.Context, path string, args ...string) error {
	return c.oci.command(ctx, c.instance.Stdout, append([]string{"exec", c.instance.ID, path}, args...)...)
}

func (c *ociContainer) Freeze(ctx context.Context) error {
	return c.oci.command(ctx, nil, "pause", c.instance.ID)
}

func (c *ociContainer) Thaw(ctx context.Context) error {
	return c.oci.command(ctx, nil, "resume", c.instance.ID)
}

// Restart takes the container away and makes it again, as these runtimes
// leave it to their users.
func (c *ociContainer) Restart(ctx context.Context, grace time.Duration) error {
	if _, err := c.Stop(ctx, grace); err != nil {
		return err
	}
	if err := c.Remove(ctx); err != nil {
		return err
	}
	fresh, err := c.oci.create(c.instance)
	if err != nil {
		return err
	}
	*c = *fresh
	return c.Start(ctx)
}

// command runs one of the runtime's commands, in the run's cgroup; a nil
// stdout is /dev/null.
func (o *oci) command(ctx context.Context, stdout *os.File, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	said, err := memfd("stderr")
	if err != nil {
		return err
	}
	defer said.Close()
	c, err := o.engine.Create(isolate.Spec{
		Path: o.path, Args: append([]string{"--root", o.state}, args...), Env: os.Environ(), Stdout: stdout, Stderr: said, NewGroup: true,
	})
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("%s %s: %w", o.name, args[0], err)
	}
	exit, err := c.Wait(ctx)
	if err == nil && !exit.OK() {
		text := make([]byte, 4096)
		n, _ := said.ReadAt(text, 0)
		err = fmt.Errorf("%s: %s", exit, bytes.TrimSpace(text[:n]))
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", o.name, strings.Join(args, " "), err)
	}
	return nil
}

func (c *ociContainer) PIDs() []int {
	if c.init != 0 {
		return []int{c.init}
	}
	if pid := c.run.PID(); pid != 0 {
		return []int{pid}
	}
	return nil
}

func (c *ociContainer) Timing() Timing {
	return Timing{Requested: c.run.Requested(), Joined: c.joined}
}

func (c *ociContainer) Usage() (cgroup.Usage, error) { return cgroup.Usage{}, nil }
