package cgroup

func pidsLimits(l Limits) []Value {
	if l.PIDs == 0 {
		return nil
	}
	return []Value{{File: "pids.max", Data: format(l.PIDs)}}
}

func pidsUsage(read files, u *Usage) {
	u.PIDs.Current = number(read("pids.current"))
	u.PIDs.Peak = number(read("pids.peak"))
	for key, n := range flatKeyed(read("pids.events")) {
		if key == "max" {
			u.PIDs.Refused = n
		}
	}
}
