package cgroup

import (
	"bytes"
	"strconv"
	"strings"
)

// ioLimitsV1 sets the weight of BFQ, the one scheduler that has any on v1
// since CFQ left with Linux 5.0.
func ioLimitsV1(l Limits) (vs []Value) {
	if l.IOWeight != 0 {
		vs = append(vs, Value{File: "blkio.bfq.weight", Data: strconv.Itoa(BFQWeight(l.IOWeight))})
	}
	for _, d := range l.IO {
		for _, r := range []struct {
			file string
			rate int64
		}{
			{"blkio.throttle.read_bps_device", d.ReadBPS},
			{"blkio.throttle.write_bps_device", d.WriteBPS},
			{"blkio.throttle.read_iops_device", d.ReadIOPS},
			{"blkio.throttle.write_iops_device", d.WriteIOPS},
		} {
			if r.rate != 0 {
				vs = append(vs, Value{File: r.file, Data: d.Device + " " + format(r.rate)})
			}
		}
	}
	return vs
}

// BFQWeight is BFQ's weight, 1 to 1,000, for one of 1 to 10,000: the default
// of 100 is that of both, and above it the scale is longer (systemd's
// BFQ_WEIGHT in src/core/cgroup.h, which BFQ's own documentation follows).
func BFQWeight(weight int) int {
	if weight <= 100 {
		return weight
	}
	return 100 + (weight-100)*(1000-100)/(10_000-100)
}

// ioLimitsV2 sets both weights: io.weight is of the cost model (iocost), and
// which of the two rules on a disk is set for each (cgroup-v2.rst, "IO Interface Files"; bfq-iosched.rst).
func ioLimitsV2(l Limits) (vs []Value) {
	if l.IOWeight != 0 {
		vs = append(vs, Value{File: "io.weight", Data: strconv.Itoa(l.IOWeight),
			Also: &Value{File: "io.bfq.weight", Data: strconv.Itoa(BFQWeight(l.IOWeight))}})
	}
	for _, d := range l.IO {
		var line strings.Builder
		line.WriteString(d.Device)
		for _, r := range []struct {
			key  string
			rate int64
		}{{"rbps", d.ReadBPS}, {"wbps", d.WriteBPS}, {"riops", d.ReadIOPS}, {"wiops", d.WriteIOPS}} {
			if r.rate != 0 {
				line.WriteString(" " + r.key + "=" + format(r.rate))
			}
		}
		vs = append(vs, Value{File: "io.max", Data: line.String()})
	}
	return vs
}

// ioUsageV1 reads the throttling policy's counters, the only ones that do not
// depend on the device's scheduler. Since Linux 6.10 that policy counts only on
// devices that some group has throttled: without a line for a device the
// usage is unknown, not 0.
func ioUsageV1(read files, u *Usage) {
	u.IO.ReadBytes, u.IO.WriteBytes = blkioSum(read("blkio.throttle.io_service_bytes_recursive")) // since Linux 3.15
	u.IO.ReadOps, u.IO.WriteOps = blkioSum(read("blkio.throttle.io_serviced_recursive"))
}

// blkioSum adds up the lines "8:0 Read 4096" and "8:0 Write 4096" over devices
// (cgroup-v1/blkio-controller.rst).
func blkioSum(b []byte) (read, write Reading) {
	for line := range bytes.Lines(b) {
		device, rest := cutField(line)
		op, rest := cutField(rest)
		n := number(rest)
		if !n.Known || bytes.IndexByte(device, ':') < 0 {
			continue
		}
		switch string(op) {
		case "Read":
			read.add(n)
		case "Write":
			write.add(n)
		}
	}
	return read, write
}

// ioUsageV2 adds up io.stat's lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" over
// devices. An empty file is no I/O at all.
func ioUsageV2(read files, u *Usage) {
	b := read("io.stat")
	if b == nil {
		return
	}
	zero := Reading{Known: true}
	u.IO = IOUsage{zero, zero, zero, zero}
	for line := range bytes.Lines(b) {
		_, rest := cutField(line)
		for len(rest) > 0 {
			var pair []byte
			pair, rest = cutField(rest)
			key, value, _ := bytes.Cut(pair, []byte("="))
			n := number(value)
			switch string(key) {
			case "rbytes":
				u.IO.ReadBytes.add(n)
			case "wbytes":
				u.IO.WriteBytes.add(n)
			case "rios":
				u.IO.ReadOps.add(n)
			case "wios":
				u.IO.WriteOps.add(n)
			}
		}
	}
}
