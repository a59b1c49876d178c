package local

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"plimsoll/isolate/cgroup"
	"plimsoll/runner"
	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads"
)

// work runs a workload in every instance and takes over what it measured.
func (t *trial) work(ctx context.Context) error {
	i := runtimes.Instance{Path: workloadPath, Args: []string{"workload", t.key.Workload, "--dir", "/data"}}
	if t.key.Params != "" {
		i.Args = append(i.Args, strings.Split(t.key.Params, ",")...)
	}
	if !t.runtime.info.Container {
		i.Args[slices.Index(i.Args, "/data")] = "." // the instance's own directory
	}
	if err := t.make(ctx, i, func() (*os.File, error) { return t.memfd("measurements") }); err != nil {
		return err
	}
	release, err := t.startAll(ctx)
	defer release()
	if err != nil {
		return err
	}
	for n, in := range t.instances {
		exit, err := in.c.Wait(ctx)
		if err != nil {
			return stage("wait", err)
		}
		if !exit.OK() {
			return t.failure(in, exit)
		}
		measured, err := workloads.ParseOutput(io.NewSectionReader(in.stdout, 0, 1<<20))
		if err != nil {
			return stage(t.key.Workload, err)
		}
		for _, m := range measured {
			t.samples = append(t.samples, runner.Sample{Instance: n, Metric: m.Metric, Unit: m.Unit, Better: m.Better, Value: m.Value})
		}
		if usage, err := in.c.Usage(); err == nil {
			t.throttled += usage.CPU.ThrottledTime.Value
			t.waited(usage.Stalls, seconds(exit.At-in.c.Timing().Requested))
		}
	}
	return nil
}

// waited keeps how much of an instance's time some task of it waited for a
// resource: beside psi_cpu and the others, which are the whole host's.
func (t *trial) waited(s cgroup.Stalls, lifetime float64) {
	for name, stall := range map[string]cgroup.Reading{"cpu": s.CPU, "memory": s.Memory, "io": s.IO} {
		if !stall.Known || lifetime <= 0 {
			continue
		}
		if t.stalled == nil {
			t.stalled = map[string]float64{}
		}
		name = "container_psi_" + name
		t.stalled[name] = max(t.stalled[name], min(stall.Value/lifetime, 1))
	}
}
