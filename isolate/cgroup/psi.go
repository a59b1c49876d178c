package cgroup

import (
	"bytes"
	"strconv"
)

// Pressure is the share of time in which tasks waited for a resource
// (Documentation/accounting/psi.rst): Some is at least one task, Full all of
// them at once. Full is absent for CPU before Linux 5.13.
type Pressure struct {
	Some, Full Stall
}

// Stall is one line of PSI.
type Stall struct {
	Avg10, Avg60, Avg300 Reading // ratio 0..1, over so many seconds
	Total                Reading // s
}

// parsePressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the
// same for full. The kernel writes percent and µs.
func parsePressure(b []byte) (p Pressure) {
	for line := range bytes.Lines(b) {
		kind, rest := cutField(line)
		var s *Stall
		switch string(kind) {
		case "some":
			s = &p.Some
		case "full":
			s = &p.Full
		default:
			continue
		}
		for len(rest) > 0 {
			var pair []byte
			pair, rest = cutField(rest)
			key, value, _ := bytes.Cut(pair, []byte("="))
			switch string(key) {
			case "avg10":
				s.Avg10 = percent(value)
			case "avg60":
				s.Avg60 = percent(value)
			case "avg300":
				s.Avg300 = percent(value)
			case "total":
				s.Total = number(value).scaled(1e-6)
			}
		}
	}
	return p
}

func stalls(read files, u *Usage) {
	u.Stalls.CPU = parsePressure(read("cpu.pressure")).Some.Total
	u.Stalls.Memory = parsePressure(read("memory.pressure")).Some.Total
	u.Stalls.IO = parsePressure(read("io.pressure")).Some.Total
}

func percent(b []byte) Reading {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return Reading{}
	}
	return Reading{v / 100, true}
}
