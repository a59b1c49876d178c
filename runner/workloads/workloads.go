// Package workloads is what runs inside a container, or as a bare process, to
// be measured: the same static program in both places.
//
// [Run] carries out one workload of profiles.Catalogue and writes what it
// measured as JSON lines; [ParseOutput] reads them back in the harness. The
// start-up workload is the program in package probe.
//
// Each measurement warms up, runs for a least duration, and asserts that it
// did the work: a violated check is an error, never a figure. Figures are
// work over time for the whole of a measurement, so that throttling counts;
// STREAM alone reports its best repetition, as everybody's STREAM does.
package workloads

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"plimsoll/runner"
)

// Measurement is one figure, in SI base units.
type Measurement struct {
	Metric string        `json:"metric"`
	Unit   string        `json:"unit"`
	Better runner.Better `json:"better"`
	Value  float64       `json:"value"`
}

// doneLine ends the output of a workload that was carried out in full.
type doneLine struct {
	Done         bool `json:"done"`
	Measurements int  `json:"measurements"`
}

// Run carries out the workload called name and writes its measurements to
// out, one JSON object a line as they are made, and a last line that says it
// is complete. Params are in the canonical form of profiles.Catalogue; one
// that is absent has its default. Dir is where the io workload makes its
// files, and leaves none; "" is $PLIMSOLL_DATA, or else the current directory.
//
// Run takes the process over: while it measures, the garbage collector is off
// and GOMAXPROCS is what the measurement needs.
func Run(ctx context.Context, name string, params map[string]string, dir string, out io.Writer) error {
	options, err := parseOptions(name, params)
	if err != nil {
		return err
	}
	lines, made := json.NewEncoder(out), 0
	write := func(line any) error {
		if err := lines.Encode(line); err != nil {
			return fmt.Errorf("write the measurements: %w", err)
		}
		return nil
	}
	err = measure(ctx, name, options, dir, func(m Measurement) error {
		made++
		return write(m)
	})
	if err != nil {
		return fmt.Errorf("run workload %s: %w", name, err)
	}
	return write(doneLine{Done: true, Measurements: made})
}

// ParseOutput reads what Run wrote. An output without its last line is that
// of a workload that was cut short: an error, with the measurements so far.
func ParseOutput(r io.Reader) ([]Measurement, error) {
	var made []Measurement
	for lines := json.NewDecoder(r); ; {
		var line struct {
			Measurement
			doneLine
		}
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return made, errors.New("read the workload's output: it ends before the workload was done")
		case err != nil:
			return made, fmt.Errorf("read the workload's output: %w", err)
		case line.Done && line.Measurements != len(made):
			return made, fmt.Errorf("read the workload's output: %d of %d measurements are there", len(made), line.Measurements)
		case line.Done && lines.More():
			return made, errors.New("read the workload's output: something follows its last line")
		case line.Done:
			return made, nil
		case line.Metric == "" || line.Unit == "" || line.Better != runner.Higher && line.Better != runner.Lower || line.Value <= 0:
			return made, fmt.Errorf("read the workload's output: %+v is not a measurement", line.Measurement)
		}
		made = append(made, line.Measurement)
	}
}
