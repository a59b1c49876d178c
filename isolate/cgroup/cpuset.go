package cgroup

// cpusetLimits is the same on both versions. On v1 a group must have both lists
// before a process may join: what is not given here is copied from the parent
// when the group is made.
func cpusetLimits(l Limits) (vs []Value) {
	if l.CPUSet != "" {
		vs = append(vs, Value{File: "cpuset.cpus", Data: l.CPUSet})
	}
	if l.Mems != "" {
		vs = append(vs, Value{File: "cpuset.mems", Data: l.Mems})
	}
	return vs
}
