package seccomp

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:embed numbers.txt
var numbersText string

// abi is one way into the kernel, as a filter sees it.
type abi struct {
	name   string // libseccomp's
	audit  uint32 // AUDIT_ARCH_* (linux/audit.h)
	bit    uint32 // set in every number
	column int    // of numbers.txt
}

// abis of an architecture, by Go's name: its own first.
var abis = map[string][]abi{
	"amd64": {{"SCMP_ARCH_X86_64", auditX8664, 0, 0}, {"SCMP_ARCH_X32", auditX8664, x32Bit, 1}, {"SCMP_ARCH_X86", 0x40000003, 0, 2}},
	"arm64": {{"SCMP_ARCH_AARCH64", 0xc00000b7, 0, 3}, {"SCMP_ARCH_ARM", 0x40000028, 0, 4}},
}

const (
	auditX8664 = 0xc000003e // AUDIT_ARCH_X86_64
	x32Bit     = 0x40000000 // __X32_SYSCALL_BIT
	columns    = 5
	none       = -1
)

// numbers of every system call, by name: one for each column.
var numbers = sync.OnceValue(func() map[string][columns]int {
	table := map[string][columns]int{}
	for line := range strings.Lines(numbersText) {
		f := strings.Fields(line)
		if len(f) != 1+columns || f[0] == "#" {
			continue
		}
		var row [columns]int
		for i, text := range f[1:] {
			row[i] = none
			if text != "-" {
				row[i], _ = strconv.Atoi(text)
			}
		}
		table[f[0]] = row
	}
	return table
})
