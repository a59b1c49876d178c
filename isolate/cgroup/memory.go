package cgroup

// memoryLimitsV1 limits memory and, as the sum of both, swap; kernel memory is included: since
// Linux 4.5 every v1 group counts it towards the same limit, and
// memory.kmem.limit_in_bytes, deprecated in 5.4, does nothing any more.
func memoryLimitsV1(l Limits) []Value {
	if l.Memory == 0 {
		return nil
	}
	vs := []Value{{File: "memory.limit_in_bytes", Data: format(l.Memory)}} // first: the sum may not be below it
	if l.Swap != 0 {
		vs = append(vs, Value{File: "memory.memsw.limit_in_bytes", Data: format(l.Memory + max(0, l.Swap))})
	}
	return vs
}

func memoryLimitsV2(l Limits) []Value {
	if l.Memory == 0 {
		return nil
	}
	vs := []Value{{File: "memory.max", Data: format(l.Memory)}}
	if l.Swap != 0 {
		vs = append(vs, Value{File: "memory.swap.max", Data: format(max(0, l.Swap))})
	}
	return vs
}

func memoryUsageV1(read files, u *Usage) {
	u.Memory.Current = number(read("memory.usage_in_bytes"))
	u.Memory.Peak = number(read("memory.max_usage_in_bytes"))
	u.Memory.AtLimit = number(read("memory.failcnt"))
	for key, n := range flatKeyed(read("memory.oom_control")) {
		if key == "oom_kill" { // since Linux 4.13
			u.Memory.OOMKills = n
		}
	}
}

func memoryUsageV2(read files, u *Usage) {
	u.Memory.Current = number(read("memory.current"))
	u.Memory.Peak = number(read("memory.peak"))
	for key, n := range flatKeyed(read("memory.events")) {
		switch key {
		case "max":
			u.Memory.AtLimit = n
		case "oom":
			u.Memory.OOM = n
		case "oom_kill":
			u.Memory.OOMKills = n
		}
	}
}
