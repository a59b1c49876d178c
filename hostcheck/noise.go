package hostcheck

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// NoiseSnapshot is what may disturb a measurement, at one moment: counters
// since boot, of which two snapshots give the share (see [NoiseSnapshot.Since]).
type NoiseSnapshot struct {
	at           time.Time
	total, steal uint64 // time of all CPUs, in clock ticks
	idle         uint64 // of which idle or waiting for a disk
	load1        float64
	stalled      [3]float64 // seconds in which some task waited: cpu, memory, io
	hasPSI       [3]bool
}

var psiNames = [3]string{"cpu", "memory", "io"}

// ReadNoise takes a snapshot of the host under root. It reads five files and
// allocates nothing but their paths: under 100 µs on a small machine;
// /proc/stat grows with CPUs and interrupts. A kernel without PSI, or with it
// switched off, is no error.
func ReadNoise(root string) (NoiseSnapshot, error) {
	s := NoiseSnapshot{at: time.Now()}
	var buf [512]byte
	stat, err := readHead(filepath.Join(root, "proc/stat"), buf[:])
	if err != nil {
		return s, fmt.Errorf("sample noise: %w", err)
	}
	if err := s.parseStat(stat); err != nil {
		return s, fmt.Errorf("sample noise: %w", err)
	}
	load, err := readHead(filepath.Join(root, "proc/loadavg"), buf[:])
	if err != nil {
		return s, fmt.Errorf("sample noise: %w", err)
	}
	first, _, _ := bytes.Cut(load, []byte(" "))
	if s.load1, err = strconv.ParseFloat(string(first), 64); err != nil {
		return s, fmt.Errorf("sample noise: /proc/loadavg: %w", err)
	}
	for i, name := range psiNames {
		if text, err := readHead(filepath.Join(root, "proc/pressure", name), buf[:]); err == nil {
			s.stalled[i], s.hasPSI[i] = parsePressure(text)
		}
	}
	return s, nil
}

// parseStat reads the first line of /proc/stat: user, nice, system, idle,
// iowait, irq, softirq, steal, and guest times that are part of user and nice
// already (proc_stat(5)).
func (s *NoiseSnapshot) parseStat(text []byte) error {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte("cpu "))
	if !ok {
		return fmt.Errorf("/proc/stat: first line is not that of all CPUs")
	}
	i := 0
	for f := range bytes.FieldsSeq(rest) {
		if i == 8 {
			break
		}
		n, err := strconv.ParseUint(string(f), 10, 64)
		if err != nil {
			return fmt.Errorf("/proc/stat: %w", err)
		}
		s.total += n
		switch i {
		case 3, 4:
			s.idle += n
		case 7:
			s.steal = n
		}
		i++
	}
	if i < 8 {
		return fmt.Errorf("/proc/stat: %d CPU times where there should be 8", i)
	}
	return nil
}

// parsePressure gives the total of the "some" line in seconds.
// Source: Documentation/accounting/psi.rst.
func parsePressure(text []byte) (seconds float64, ok bool) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(line, []byte("some ")) {
		return 0, false
	}
	_, total, ok := bytes.Cut(line, []byte("total="))
	if !ok {
		return 0, false
	}
	us, err := strconv.ParseUint(string(total), 10, 64)
	return float64(us) / 1e6, err == nil
}

// Since gives what disturbed the host between before and s. All but load1 are
// fractions, 0 to 1:
//
//	steal       of CPU time, taken by the hypervisor for others
//	busy        of CPU time, used by anybody: the trial itself too
//	load1       the load average at s
//	psi_cpu, psi_memory, psi_io
//	            of wall time, in which some task was stalled for it
//
// A key is absent where the host does not tell, or where the two are closer
// together than the kernel's clock tick.
func (s NoiseSnapshot) Since(before NoiseSnapshot) map[string]float64 {
	m := map[string]float64{"load1": s.load1}
	// Counters of a CPU that went offline, and idle time, may step back.
	if ticks := float64(s.total) - float64(before.total); ticks > 0 {
		m["steal"] = fraction(float64(s.steal)-float64(before.steal), ticks)
		m["busy"] = fraction(ticks-(float64(s.idle)-float64(before.idle)), ticks)
	}
	if wall := s.at.Sub(before.at).Seconds(); wall > 0 {
		for i, name := range psiNames {
			if s.hasPSI[i] && before.hasPSI[i] {
				m["psi_"+name] = fraction(s.stalled[i]-before.stalled[i], wall)
			}
		}
	}
	return m
}

func fraction(part, whole float64) float64 {
	return min(max(part/whole, 0), 1)
}

// readHead fills buf from the start of a file. It is os.ReadFile without the
// poller and the allocation: the sample stands beside every trial.
func readHead(path string, buf []byte) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer syscall.Close(fd)
	n, err := syscall.Read(fd, buf)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return buf[:n], nil
}
