package hostcheck

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
)

// identity are the facts by which a host and its kernel are known again after
// a reboot.
var identity = []string{"kernel.release", "kernel.version", "kernel.arch", "cpu.model", "cpu.count", "memory.total"}

// memoryGrain absorbs the few kilobytes by which MemTotal differs between two
// boots of the same machine.
const memoryGrain = 64 << 20

// Fingerprint is a SHA-256, in hexadecimal, over what identifies the host and
// its kernel: measurements may be continued, and compared, where it is equal.
// Two boots of one kernel on one machine have the same; [BootID] tells them
// apart.
func Fingerprint(facts map[string]string) string {
	h := sha256.New()
	for _, name := range identity {
		value := facts[name]
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && name == "memory.total" {
			value = strconv.FormatUint((n+memoryGrain/2)/memoryGrain, 10)
		}
		fmt.Fprintf(h, "%s=%q\n", name, value)
	}
	return hex.EncodeToString(h.Sum(nil))
}
