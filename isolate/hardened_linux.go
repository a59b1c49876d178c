package isolate

import (
	"runtime"
	"sync"

	"plimsoll/isolate/cgroup"
	"plimsoll/isolate/launch"
	"plimsoll/isolate/seccomp"
)

// Hardened adds to a spec all that Docker puts around a container by default,
// and no_new_privs: DockerDefault capabilities, unless the spec has a set of
// its own, the seccomp filter that goes with them, masked and read-only paths,
// and the list of devices. The spec has a root, Proc, Dev and a Group already.
//
// Two things that Docker does are left to the spec, because they depend on the
// image: Sys and a read-only root. AppArmor and SELinux are the host's to set.
//
// In a user namespace devices stay as they are: nobody can make or mount any
// there, and it takes privileges on the host to forbid them.
func Hardened(s Spec) (Spec, error) {
	caps := DockerDefault
	if s.Capabilities != nil {
		caps = *s.Capabilities
	}
	filter, err := dockerFilter(caps)
	if err != nil {
		return s, err
	}
	s.NoNewPrivs, s.Capabilities, s.Seccomp = true, &caps, filter
	s.MaskedPaths, s.ReadOnlyPaths = DockerMasked(), DockerReadOnly
	if !s.Namespaces.Has(UserNS) {
		s.Limits.Devices = cgroup.DockerDevices
	}
	return s, nil
}

// dockerFilter assembles Docker's filter, once for what most containers have.
func dockerFilter(caps Capabilities) (*seccomp.Filter, error) {
	if caps == DockerDefault {
		return defaultFilter()
	}
	return assembleFilter(caps)
}

var defaultFilter = sync.OnceValues(func() (*seccomp.Filter, error) { return assembleFilter(DockerDefault) })

func assembleFilter(caps Capabilities) (*seccomp.Filter, error) {
	return seccomp.Docker().Filter(seccomp.Target{Arch: runtime.GOARCH, Kernel: launch.Release(), Capabilities: caps.Names()})
}

// Names lists the set as capabilities(7) writes it: CAP_CHOWN, ...
func (c Capabilities) Names() []string {
	var names []string
	for bit := range lastCapability + 1 {
		if c&(1<<bit) != 0 {
			names = append(names, launch.Named(launch.CapNames, bit).String())
		}
	}
	return names
}
