package vmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// testEvent is a line of go test -json, see go doc test2json.
type testEvent struct {
	Action  string
	Package string
	Test    string // "" for what the package as a whole does
	Output  string
}

// readEvents reads the output of go test -json.
func readEvents(r io.Reader) ([]testEvent, error) {
	var all []testEvent
	for dec := json.NewDecoder(r); ; {
		var e testEvent
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read go test -json: %w", err)
		}
		all = append(all, e)
	}
}

// marker stands before a line that means something to test2json and is not what
// a test printed, with -test.v=test2json.
const marker = "\x16"

// converter feeds the output of one run to test2json, as go test -json does.
type converter struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out strings.Builder
}

func newConverter(ctx context.Context, pkg string) (*converter, error) {
	c := &converter{cmd: exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", pkg)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return c, c.cmd.Start()
}

// finish adds the last line, which in go test is the go command's and not the
// binary's, and returns all lines of JSON.
func (c *converter) finish(last string) (string, error) {
	_, err := io.WriteString(c.in, last)
	if err = errors.Join(err, c.in.Close(), c.cmd.Wait()); err != nil {
		return "", fmt.Errorf("go tool test2json: %w: %s", err, c.out.String())
	}
	return c.out.String(), nil
}

// verdict is what a person wants to know of one run.
type verdict struct {
	pass, fail, skip int    // tests and subtests
	log              string // what the tests that failed printed, then what no test did
}

// judge sums up the events of one run. A test that was running when its binary
// ended counts as failed.
func judge(events []testEvent) verdict {
	var v verdict
	last := map[string]string{}
	output := map[string]*strings.Builder{}
	var order []string
	for _, e := range events {
		if output[e.Test] == nil {
			output[e.Test] = &strings.Builder{}
			order = append(order, e.Test)
		}
		switch e.Action {
		case "output":
			output[e.Test].WriteString(e.Output)
		case "run", "pass", "fail", "skip":
			last[e.Test] = e.Action
		}
	}
	for _, test := range order {
		switch {
		case test == "":
		case last[test] == "pass":
			v.pass++
		case last[test] == "skip":
			v.skip++
		default:
			v.fail++
			v.log += output[test].String()
		}
	}
	if output[""] != nil {
		v.log += output[""].String()
	}
	return v
}
