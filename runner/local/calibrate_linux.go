package local

import (
	"context"
	"path/filepath"

	"plimsoll/hostcheck"
	"plimsoll/isolate/launch"
	"plimsoll/runner"
	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
)

// calibrations is how often each cost of the harness is taken.
const calibrations = 20

// Calibrate measures what the harness itself costs on this host: figures to
// hold results against, never subtracted from them.
func (e *Executor) Calibrate(ctx context.Context) ([]runner.Calibration, error) {
	host := hostName()
	clock := runner.Calibration{Host: host, Metric: "clock_read", Unit: "s"}
	noise := runner.Calibration{Host: host, Metric: "noise_snapshot", Unit: "s"}
	start := runner.Calibration{Host: host, Metric: "launch_true", Unit: "s"}
	null, err := memfd("calibrate")
	if err != nil {
		return nil, err
	}
	defer null.Close()
	for range calibrations {
		const reads = 1000
		begin := launch.Now()
		for range reads {
			launch.Now()
		}
		clock.Values = append(clock.Values, seconds(launch.Now()-begin)/reads)

		begin = launch.Now()
		if _, err := hostcheck.ReadNoise("/"); err != nil {
			return nil, stage("calibrate", err)
		}
		noise.Values = append(noise.Values, seconds(launch.Now()-begin))

		image := e.dirs[0].image
		c, err := e.runtimes["bare"].runtime.Create(ctx, runtimes.Instance{
			Image: image.Dir, Path: image.Probe, Args: []string{probe.ModeTrue}, Work: filepath.Dir(image.Dir), Stdout: null, Stderr: null,
		})
		if err != nil {
			return nil, stage("calibrate", err)
		}
		if err := c.Start(ctx); err != nil {
			return nil, stage("calibrate", err)
		}
		exit, err := c.Wait(ctx)
		if err != nil {
			return nil, stage("calibrate", err)
		}
		start.Values = append(start.Values, seconds(exit.At-c.Timing().Requested))
	}
	return []runner.Calibration{clock, noise, start}, nil
}
