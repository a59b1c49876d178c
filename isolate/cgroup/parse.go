package cgroup

import (
	"bytes"
	"iter"
	"strconv"
)

// The kernel's formats of cgroup files (cgroup-v2.rst, "Format"). Keys and
// lines that we do not know are passed over: every kernel release adds some.

func format(n int64) string { return strconv.FormatInt(n, 10) }

// number parses a file or a field of one decimal number; anything else, "max"
// included, is unknown.
func number(b []byte) Reading {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > 20 {
		return Reading{}
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return Reading{}
		}
		n = n*10 + uint64(c-'0') // past 2^64 it is no number that a kernel wrote
	}
	return Reading{float64(n), true}
}

func (r Reading) scaled(unit float64) Reading {
	r.Value *= unit
	return r
}

func (r *Reading) add(n Reading) {
	if n.Known {
		r.Value += n.Value
		r.Known = true
	}
}

// flatKeyed walks "KEY VALUE" lines. The key is good for comparing only while
// the line is visited.
func flatKeyed(b []byte) iter.Seq2[string, Reading] {
	return func(yield func(string, Reading) bool) {
		for line := range bytes.Lines(b) {
			key, value := cutField(line)
			if n := number(value); n.Known && !yield(string(key), n) {
				return
			}
		}
	}
}

// cutField splits off the first word of a line.
func cutField(line []byte) (field, rest []byte) {
	line = bytes.TrimLeft(line, " \t\n")
	if i := bytes.IndexAny(line, " \t\n"); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

// pidList parses cgroup.procs. A process that our pid namespace does not see is 0.
func pidList(b []byte) ([]int, error) {
	var pids []int
	for field := range bytes.FieldsSeq(b) {
		pid, err := strconv.ParseUint(string(field), 10, 31)
		if err != nil {
			return nil, err
		}
		pids = append(pids, int(pid))
	}
	return pids, nil
}
