package operation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Quirk is something in which a clone may behave otherwise than a plain
// directory.
type Quirk struct {
	Name  string
	Plain string // what a plain directory does
	Why   string // what a user loses where it is otherwise

	try func(context.Context, scene) error
}

// List gives all quirks that are tried, in the order in which they are shown.
func List() []Quirk { return slices.Concat(fileQuirks, nameQuirks, spaceQuirks) }

// Finding is what came of a quirk.
type Finding struct {
	Quirk
	Found string // what a clone does instead; "" where it behaves as a plain directory
}

// QuirkPoolSize is the storagebench.Options.Size of a pool that [Quirks] may
// fill up: the least that all backends can be built in.
const QuirkPoolSize = 640 << 20

// QuirksOptions say what is tried.
type QuirksOptions struct {
	Fill bool // also those for which the pool is filled up, which takes some seconds
}

// Measured is the findings in figures.
//
//	quirk/NAME  1  1 where a clone behaves as a plain directory, 0 where not
func Measured(findings []Finding) []Measurement {
	made := make([]Measurement, len(findings))
	for i, f := range findings {
		made[i] = Measurement{"quirk/" + f.Name, "1", "higher", 0}
		if f.Found == "" {
			made[i].Value = 1
		}
	}
	return made
}

// Quirks imports an image of its own into a pool that is new, and tries what
// [List] lists.
func Quirks(ctx context.Context, t Target, o QuirksOptions) (findings []Finding, err error) {
	quirks := slices.Concat(fileQuirks, nameQuirks)
	if o.Fill {
		quirks = List()
	}
	image, err := quirkImage()
	if err != nil {
		return nil, fmt.Errorf("quirks: %w", err)
	}
	u, err := t.Pool.Usage(ctx)
	if err != nil {
		return nil, fmt.Errorf("quirks: %w", err)
	}
	if o.Fill && u.Free > 2*QuirkPoolSize {
		return nil, fmt.Errorf("quirks: the pool has %d bytes free, which is too much to fill up (open it with QuirkPoolSize, %d)", u.Free, QuirkPoolSize)
	}
	if err := t.Pool.Import(ctx, image); err != nil {
		return nil, fmt.Errorf("quirks: import %s: %w", image.Name, err)
	}
	err = t.withClones(ctx, "quirks", 2, func(roots []string) error {
		for _, q := range quirks {
			s := scene{target: t, root: roots[0], dir: filepath.Join(roots[0], q.Name), other: filepath.Join(roots[1], q.Name)}
			found := Finding{Quirk: q}
			// A device that is gone must not be taken for quirks.
			if err := s.whole(); err != nil {
				return err
			}
			if err := q.try(ctx, s); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				found.Found = err.Error()
			}
			findings = append(findings, found)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("quirks: %w", err)
	}
	return findings, nil
}

// scene is where a quirk is tried: a directory of the image for it alone, with
// what quirkImage puts into each.
type scene struct {
	target Target
	root   string // of the clone
	dir    string
	other  string // the same directory in another clone
}

func (s scene) file() string            { return filepath.Join(s.dir, "file") }
func (s scene) path(name string) string { return filepath.Join(s.dir, name) }

// whole asserts that a scene is as the image has it.
func (s scene) whole() error {
	for name, content := range quirkFiles {
		found, err := os.ReadFile(s.path(name))
		if err != nil {
			return err
		}
		if string(found) != content {
			return fmt.Errorf("%s does not hold what the image has", s.path(name))
		}
	}
	return nil
}
