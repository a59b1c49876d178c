package workloads

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"plimsoll/profiles"
)

// options are a workload's parameters; those that it does not have are zero.
type options struct {
	part     string
	duration time.Duration // least time of one measurement
	n        int           // order of the matrix
	threads  int           // 0: one for each CPU
	size     int64         // bytes
	block    int64         // bytes
	direct   bool
}

// parseOptions reads params, and the defaults of those that are absent.
func parseOptions(name string, params map[string]string) (options, error) {
	w, ok := profiles.FindWorkload(name)
	if !ok || !Has(w) {
		return options{}, fmt.Errorf("run workload %s: there is none of that name (choose cpu, memory or io)", name)
	}
	var known []string
	for _, p := range w.Params {
		known = append(known, p.Name)
	}
	for key := range params {
		if !slices.Contains(known, key) {
			return options{}, fmt.Errorf("run workload %s: it has no parameter %q (choose from %s)", name, key, strings.Join(known, ", "))
		}
	}
	var o options
	for _, p := range w.Params {
		text := p.Default
		if given, ok := params[p.Name]; ok {
			text = given
		}
		text, err := p.Canonical(text)
		if err == nil {
			err = o.set(p.Name, text)
		}
		if err != nil {
			return options{}, fmt.Errorf("run workload %s: parameter %s: %w", name, p.Name, err)
		}
	}
	return o, nil
}

// set sets one parameter to a value in canonical form.
func (o *options) set(name, text string) (err error) {
	switch name {
	case "part":
		o.part = text
	case "duration":
		o.duration, err = time.ParseDuration(text)
	case "n":
		o.n, err = strconv.Atoi(text)
	case "threads":
		o.threads, err = strconv.Atoi(text)
	case "size":
		o.size, err = profiles.ParseBytes(text)
	case "block":
		o.block, err = profiles.ParseBytes(text)
	case "direct":
		o.direct, err = strconv.ParseBool(text)
	default:
		err = errors.New("the catalogue has it, and this program does not")
	}
	return err
}

// Has reports whether Run carries out the workload: start-ups and lifecycles
// are the probe's, and workloads on storage the harness's own.
func Has(w profiles.WorkloadType) bool {
	return w.Name != "startup" && w.Name != "lifecycle" && !w.OnStorage
}
