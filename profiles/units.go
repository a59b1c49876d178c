package profiles

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// units of sizes, largest first: IEC 80000-13's powers of 1024 and the SI's
// powers of 1000. A bare "K" or "M" means one thing to cgroups and another to
// disk makers, so it is refused.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"B", 1},
}

// ParseBytes reads a size: a number, with a fraction if need be, and one of
// B, KiB, MiB, GiB, TiB, kB (or KB), MB, GB and TB. A number alone is bytes.
// The size must be a whole number of bytes.
func ParseBytes(s string) (int64, error) {
	number := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	unit := s[len(number):]
	scale := int64(0)
	for _, u := range units {
		if unit == u.name || unit == "KB" && u.name == "kB" || unit == "" && u.name == "B" {
			scale = u.bytes
		}
	}
	if scale == 0 {
		return 0, fmt.Errorf("%q has no known unit (use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB)", s)
	}
	number = strings.TrimSpace(number)
	// What big.Rat also reads (signs, exponents, fractions with a slash) has
	// no place in a size, and its exponents would take memory without bound.
	if number == "" || len(number) > 32 || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a size (write it like 64MiB)", s)
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a size (write it like 64MiB)", s)
	}
	r.Mul(r, new(big.Rat).SetInt64(scale))
	if !r.IsInt() {
		return 0, fmt.Errorf("%q is not a whole number of bytes", s)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("%q is more than %s", s, FormatBytes(math.MaxInt64))
	}
	return r.Num().Int64(), nil
}

// FormatBytes gives the canonical form of a size: the largest unit of which
// it is a whole multiple, powers of 1024 before powers of 1000.
func FormatBytes(n int64) string {
	for _, u := range units {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// ParseRate reads a rate in bytes per second: a size, and "/s" if one likes.
func ParseRate(s string) (int64, error) { return ParseBytes(strings.TrimSuffix(s, "/s")) }

// FormatRate gives the canonical form of a rate in bytes per second.
func FormatRate(n int64) string { return FormatBytes(n) + "/s" }

// parseOps reads a rate in operations per second.
func parseOps(s string) (int64, error) { return parseCount(strings.TrimSuffix(s, "/s")) }

func parseCount(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}

// parseCPUs reads a number of CPUs, such as 0.5.
func parseCPUs(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a number of CPUs (write it like 0.5)", s)
	}
	return n, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration (write it like 200ms, 1.5s or 2m)", s)
	}
	return d, nil
}
