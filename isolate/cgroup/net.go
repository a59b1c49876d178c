package cgroup

import (
	"maps"
	"slices"
	"strconv"
)

// netClassLimits tags the packets of a group, for tc and the firewall
// (cgroup-v1/net_cls.rst). Version 2 has nothing of the kind: there rules match
// the group's path.
func netClassLimits(l Limits) []Value {
	if l.NetClass == 0 {
		return nil
	}
	return []Value{{File: "net_cls.classid", Data: strconv.FormatUint(uint64(l.NetClass), 10)}}
}

// netPrioLimits gives the group's packets a priority on each interface
// (cgroup-v1/net_prio.rst).
func netPrioLimits(l Limits) (vs []Value) {
	for _, name := range slices.Sorted(maps.Keys(l.NetPriority)) {
		vs = append(vs, Value{File: "net_prio.ifpriomap", Data: name + " " + strconv.FormatUint(uint64(l.NetPriority[name]), 10)})
	}
	return vs
}
