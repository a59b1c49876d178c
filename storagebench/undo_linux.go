package storagebench

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Undo takes away what a killed process recorded and left, what it recorded
// last first. What is gone already is no error.
func Undo(ctx context.Context, left []Resource) error {
	var errs []error
	for _, r := range slices.Backward(left) {
		var err error
		switch r.Kind {
		case "dm":
			err = undoDM(ctx, r.Name)
		case "vg":
			err = undoVG(ctx, r.Name)
		case "zpool":
			err = destroyZpool(ctx, r.Name)
		default:
			err = errors.New("no such kind of resource")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("undo %s %s: %w", r.Kind, r.Name, err))
		}
	}
	return errors.Join(errs...)
}
