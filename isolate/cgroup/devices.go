package cgroup

import (
	"errors"
	"fmt"
	"strings"
)

// Device is a rule that lets a group use devices.
type Device struct {
	Type         byte   // 'c' of characters, 'b' of blocks
	Major, Minor int64  // AnyDevice is all
	Access       string // of r to read, w to write and m to make nodes
}

// AnyDevice stands for every major or minor number.
const AnyDevice = -1

// DockerDevices is what Docker lets containers use: the devices of the OCI
// runtime specification's default list, terminals, and the making of any node
// (moby, daemon/pkg/oci/defaults.go, and runc, libcontainer/specconv).
var DockerDevices = []Device{
	{'c', AnyDevice, AnyDevice, "m"}, {'b', AnyDevice, AnyDevice, "m"},
	{'c', 1, 3, "rwm"}, {'c', 1, 5, "rwm"}, {'c', 1, 7, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 9, "rwm"}, // null, zero, full, random, urandom
	{'c', 5, 0, "rwm"}, {'c', 5, 1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 136, AnyDevice, "rwm"}, // tty, console, ptmx, pts
}

func (d Device) validate() error {
	switch {
	case d.Type != 'c' && d.Type != 'b':
		return fmt.Errorf("device type %q: must be c or b", d.Type)
	case d.Major < AnyDevice || d.Major > 1<<12-1 || d.Minor < AnyDevice || d.Minor > 1<<20-1: // dev_t (linux/kdev_t.h)
		return fmt.Errorf("device %s: no such number", d)
	case d.Access == "" || strings.Trim(d.Access, "rwm") != "":
		return fmt.Errorf("device %s: access must be of r, w and m", d)
	}
	return nil
}

// String is the rule as v1's devices.allow takes it: "c 1:3 rwm".
func (d Device) String() string {
	number := func(n int64) string {
		if n == AnyDevice {
			return "*"
		}
		return format(n)
	}
	return fmt.Sprintf("%c %s:%s %s", d.Type, number(d.Major), number(d.Minor), d.Access)
}

func checkDevices(list []Device) error {
	var errs []error
	for _, d := range list {
		errs = append(errs, d.validate())
	}
	return errors.Join(errs...)
}

// deviceLimitsV1 is cgroup-v1/devices.rst. Version 2 has no such files, but
// programs: see deviceProgram.
func deviceLimitsV1(l Limits) (vs []Value) {
	if l.Devices == nil {
		return nil
	}
	vs = append(vs, Value{File: "devices.deny", Data: "a"})
	for _, d := range l.Devices {
		vs = append(vs, Value{File: "devices.allow", Data: d.String()})
	}
	return vs
}
