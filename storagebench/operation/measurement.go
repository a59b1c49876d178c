package operation

import (
	"slices"
	"time"
)

// Measurement is one figure, in SI base units: s, B, op/s, 1.
type Measurement struct {
	Metric string
	Unit   string
	Better string // "lower" or "higher"
	Value  float64
}

func seconds(metric string, d time.Duration) Measurement {
	return Measurement{metric, "s", "lower", d.Seconds()}
}

func bytes(metric string, n int64) Measurement {
	return Measurement{metric, "B", "lower", float64(n)}
}

func rate(metric string, times int, in time.Duration) Measurement {
	return Measurement{metric, "op/s", "higher", float64(times) / in.Seconds()}
}

// median sorts what it is given.
func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	middle := len(took) / 2
	if len(took)%2 == 1 {
		return took[middle]
	}
	return (took[middle-1] + took[middle]) / 2
}
