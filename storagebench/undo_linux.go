package storagebench

import (
	"context"
	"errors"
	"fmt"
)

// Undo takes away what a killed process had recorded (Options.Record), last
// first. What is gone already is no error.
func Undo(ctx context.Context, resources []Resource) error {
	var errs []error
	for i := len(resources) - 1; i >= 0; i-- {
		r := resources[i]
		var err error
		switch r.Kind {
		case "zpool":
			err = destroyZpool(ctx, r.Name)
		default:
			err = errors.New("nothing is known of this kind")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("undo %s %s: %w", r.Kind, r.Name, err))
		}
	}
	return errors.Join(errs...)
}
