package cgroup

// memoryLimitsV1 limits memory without swap, kernel memory included: since
// Linux 4.5 every v1 group counts it towards the same limit, and
// memory.kmem.limit_in_bytes, deprecated in 5.4, does nothing any more.
func memoryLimitsV1(l Limits) []Value {
	if l.Memory == 0 {
		return nil
	}
	return []Value{{File: "memory.limit_in_bytes", Data: format(l.Memory)}}
}

func memoryLimitsV2(l Limits) []Value {
	if l.Memory == 0 {
		return nil
	}
	return []Value{{File: "memory.max", Data: format(l.Memory)}}
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
