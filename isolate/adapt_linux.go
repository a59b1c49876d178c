package isolate

import (
	"errors"

	"plimsoll/isolate/launch"
)

// adapt makes of a valid spec one that a kernel which lacks those features
// can carry out, or says what it cannot.
func (s *Spec) adapt(missing launch.Features) error {
	if s.Namespaces.Has(Time) {
		switch {
		case missing.Has(launch.TimeNamespace):
			return errors.New("time namespace: needs Linux 5.6 and CONFIG_TIME_NS")
		case missing.Has(launch.TimeExec) && s.TimeOffset != 0:
			return errors.New("time offset: needs Linux 6.3, where execve enters a time namespace")
		case missing.Has(launch.TimeExec | launch.Clone3):
			return errors.New("time namespace: needs Linux 6.3, or clone3, which a seccomp filter of an outer container may refuse")
		}
	}
	if missing.Has(launch.UserOverlay) && s.Root != nil && s.Root.Overlay != nil && s.Root.Overlay.UserXattr {
		root, overlay := *s.Root, *s.Root.Overlay
		overlay.UserXattr = false // an option that the kernel does not know
		root.Overlay = &overlay
		s.Root = &root
	}
	return nil
}
