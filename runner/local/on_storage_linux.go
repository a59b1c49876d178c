package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
	"plimsoll/storagebench/operation"
)

// onStorage carries out a workload on storage: the harness itself works on
// clones, without a container.
func (t *trial) onStorage(ctx context.Context) error {
	var target operation.Target
	backend, ok := storagebench.Find(t.key.Storage)
	if !ok {
		return fmt.Errorf("storage %q makes no clones", t.key.Storage)
	}
	target.Info = backend.Info()
	target.Shared = t.executor.pools.placed(target.Info)
	var made []operation.Measurement
	var err error
	name, find := t.image()
	switch t.key.Workload {
	case "import":
		made, err = t.inNewPool(ctx, target, t.executor.profile.Pools.Size, func(target operation.Target) ([]operation.Measurement, error) {
			image, err := find()
			if err != nil {
				return nil, err
			}
			return operation.Import(ctx, target, image)
		})
	case "quirks": // which may fill the pool up
		made, err = t.inNewPool(ctx, target, operation.QuirkPoolSize, func(target operation.Target) ([]operation.Measurement, error) {
			findings, err := operation.Quirks(ctx, target, operation.QuirksOptions{Fill: t.key.Param("fill") == "true"})
			t.warnings = quirkWarnings(findings)
			return operation.Measured(findings), err
		})
	default:
		if target.Pool, err = t.executor.pools.get(ctx, t.dir, t.key.Storage, name, find); err == nil {
			made, err = t.operate(ctx, target)
			err = t.executor.pools.failed(t.dir, t.key.Storage, name, err)
		}
	}
	for i, m := range made {
		t.samples = append(t.samples, runner.Sample{Instance: instanceOf(made[:i], m.Metric), Metric: m.Metric, Unit: m.Unit, Better: runner.Better(m.Better), Value: m.Value})
	}
	return err
}

// quirkWarnings says in words what clones did instead, which is all that a zero
// leaves out: the header has what plain directories do, and what users lose.
func quirkWarnings(findings []operation.Finding) (all []runner.Warning) {
	for _, f := range findings {
		if f.Found != "" {
			all = append(all, runner.Warning{Code: "quirk/" + f.Name, Text: f.Found})
		}
	}
	return all
}

// inNewPool does something with a pool that is built for it.
func (t *trial) inNewPool(ctx context.Context, target operation.Target, size int64, do func(operation.Target) ([]operation.Measurement, error)) ([]operation.Measurement, error) {
	one := t.executor.pools.build(ctx, t.dir, t.key.Storage, size)
	if one.err != nil {
		return nil, one.err
	}
	target.Pool = one.Pool
	made, err := do(target)
	return made, errors.Join(t.dir.explain(err), one.close())
}

// operate calls the operation that the cell names.
func (t *trial) operate(ctx context.Context, target operation.Target) ([]operation.Measurement, error) {
	cold := t.key.Cache == "cold"
	switch t.key.Workload {
	case "provision":
		return operation.Provision(ctx, target, operation.ProvisionOptions{Clones: t.number("clones")})
	case "small_change":
		return operation.SmallChange(ctx, target, operation.SmallChangeOptions{Files: t.number("changes"), Cold: cold})
	case "large_change":
		return operation.LargeChange(ctx, target, operation.LargeChangeOptions{Size: t.size("file"), Cold: cold})
	case "churn":
		return operation.Churn(ctx, target, operation.ChurnOptions{Files: t.number("changes")})
	case "diff":
		return operation.Diff(ctx, target, operation.DiffOptions{Changed: t.number("changes")})
	case "page_cache":
		return operation.PageCache(ctx, target, operation.PageCacheOptions{Size: t.size("file"), Clones: t.number("clones")})
	}
	return nil, fmt.Errorf("workload %q: not on storage", t.key.Workload)
}

// image names the image of the cell, and finds it: the user's, or a synthetic
// one. A workload on one file has an image with that file, in all the sizes
// that the profile asks for, so that these share a pool.
func (t *trial) image() (name string, find func() (storagebench.Image, error)) {
	p := t.executor.profile
	onFile := t.key.Param("file") != ""
	var large []int64
	if onFile {
		for _, w := range p.Workloads {
			for _, text := range w.Params["file"] {
				if size, err := profiles.ParseBytes(text); err == nil && !slices.Contains(large, size) {
					large = append(large, size)
				}
			}
		}
		slices.Sort(large)
	}
	spec := image.Spec{Layers: 1, Files: 16, Size: 1 << 20, Large: large}
	if !onFile {
		spec = image.Spec{Layers: t.number("layers"), Files: t.number("files"), Size: t.size("size")}
	}
	if onFile || !p.Pools.UsersImage() {
		return spec.String(), func() (storagebench.Image, error) { return image.Synthetic(spec), nil }
	}
	return p.Pools.Image, func() (storagebench.Image, error) { return t.executor.pools.user.Image, nil }
}

// number and size read a parameter; the catalogue has checked it.
func (t *trial) number(param string) int {
	n, _ := strconv.Atoi(t.key.Param(param))
	return n
}

func (t *trial) size(param string) int64 {
	n, _ := profiles.ParseBytes(t.key.Param(param))
	return n
}

// instanceOf counts the measurements of a metric that came before.
func instanceOf(before []operation.Measurement, metric string) int {
	n := 0
	for _, m := range before {
		if m.Metric == metric {
			n++
		}
	}
	return n
}
