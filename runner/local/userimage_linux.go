package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"plimsoll/profiles"
	"plimsoll/runner"
	"plimsoll/storagebench"
	"plimsoll/storagebench/image"
	"plimsoll/storagebench/operation"
)

// InputError is about what the user gave, and not about this host.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }
func (e *InputError) Unwrap() error { return e.err }

// userImage is an image that the profile names, and what was found in it.
type userImage struct {
	storagebench.Image
	operation.Contents
}

// openUserImage opens the profile's image and unpacks it into dir for a look,
// before anything is built: what is wrong with it is to be said once, and not
// by every trial. What comes from a registry is fetched here, for all pools.
func openUserImage(ctx context.Context, p profiles.Profile, dir string) (u userImage, err error) {
	if !slices.ContainsFunc(imageWorkloads(), func(w string) bool { return slices.Contains(p.Factors.Workload, w) }) {
		return u, fmt.Errorf("pools.image %s: no workload of profile %s would use it (%v do)", p.Pools.Image, p.Name, imageWorkloads())
	}
	if u.Image, err = image.Open(ctx, p.Pools.Image); err != nil {
		return u, fmt.Errorf("pools.image: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return u, fmt.Errorf("look into %s: %w", u.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := u.Unpack(ctx, dir); err != nil {
		return u, fmt.Errorf("pools.image: %w", err)
	}
	if u.Contents, err = operation.Survey(ctx, dir); err != nil {
		return u, fmt.Errorf("look into %s: %w", u.Name, err)
	}
	switch {
	case u.Files == 0:
		return u, fmt.Errorf("pools.image: %s holds no file", u.Name)
	case u.Bytes > p.Pools.Size:
		return u, fmt.Errorf("pools.image: %s holds %d bytes, and a pool of pools.size %s cannot hold these (--set pools.size=%s)",
			u.Name, u.Bytes, profiles.FormatBytes(p.Pools.Size), profiles.FormatBytes((u.Bytes>>30+1)<<32))
	}
	return u, nil
}

// imageWorkloads names the workloads that work on the user's image.
func imageWorkloads() []string {
	var names []string
	for _, w := range profiles.Catalogue {
		if slices.ContainsFunc(w.Params, func(p profiles.Param) bool { return p.Image }) {
			names = append(names, w.Name)
		}
	}
	return names
}

// lacks are the workloads for which the image holds too little.
func (u userImage) lacks(p profiles.Profile) []runner.Lack {
	var list []runner.Lack
	for _, w := range []struct {
		name string
		each int // small files for a change
	}{{"small_change", 1}, {"churn", 2}, {"diff", 1}} {
		values := p.Workloads[w.name].Params["changes"]
		if len(values) == 0 {
			t, _ := profiles.FindWorkload(w.name)
			for _, param := range t.Params {
				if param.Name == "changes" {
					values = []string{param.Default}
				}
			}
		}
		for _, value := range values {
			n, _ := strconv.Atoi(value)
			if n*w.each <= u.Small {
				continue
			}
			lack := runner.Lack{
				Where:  profiles.Exclusion{Workload: []string{w.name}, Params: map[string][]string{"changes": {value}}},
				Reason: fmt.Sprintf("%s needs %d files of 1 byte to 64 KiB for changes=%s, and %s has %d", w.name, n*w.each, value, u.Name, u.Small),
			}
			if fit := u.Small / w.each; fit > 0 {
				lack.Fix = fmt.Sprintf("--set workloads.%s.params.changes=[%d]", w.name, fit)
			}
			list = append(list, lack)
		}
	}
	if !u.Nested {
		list = append(list, runner.Lack{
			Where:  profiles.Exclusion{Workload: []string{"churn"}},
			Reason: fmt.Sprintf("churn renames a directory with a file of 1 byte to 64 KiB in it, and %s has none", u.Name),
		})
	}
	return list
}

// meaning is what the image's name stands for. Where layers have no digests,
// as those of a directory, its contents have to tell it from others.
func (u userImage) meaning() map[string]string {
	of := map[string]string{
		"layers": strconv.Itoa(len(u.Layers)), "files": strconv.Itoa(u.Files), "bytes": strconv.FormatInt(u.Bytes, 10),
	}
	digests := sha256.New()
	for _, l := range u.Layers {
		if l.Digest == "" {
			return of
		}
		fmt.Fprintln(digests, l.Digest)
	}
	of["digest"] = fmt.Sprintf("sha256:%x", digests.Sum(nil))
	return of
}
