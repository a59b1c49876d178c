package local

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

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
		if usage, err := in.c.Usage(); err == nil && usage.CPU.ThrottledTime.Known {
			t.throttled += usage.CPU.ThrottledTime.Value
		}
	}
	return nil
}
