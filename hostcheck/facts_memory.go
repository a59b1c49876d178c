package hostcheck

import (
	"strconv"
	"strings"
)

func memoryFacts(t tree, inv inventory) map[string]string {
	const thp = "/sys/kernel/mm/transparent_hugepage/"
	f := map[string]string{
		"memory.thp":        chosen(t.text(thp + "enabled")),
		"memory.thp_defrag": chosen(t.text(thp + "defrag")),
		"memory.swappiness": t.text("/proc/sys/vm/swappiness"),
		"memory.overcommit": t.text("/proc/sys/vm/overcommit_memory"),
		"memory.hugepages":  t.text("/proc/sys/vm/nr_hugepages"),
		"memory.ksm":        t.text("/sys/kernel/mm/ksm/run"),
		"memory.zswap":      t.text("/sys/module/zswap/parameters/enabled"),
	}
	if total, swap, err := inv.Memory(); err == nil {
		f["memory.total"] = strconv.FormatUint(total, 10)
		f["memory.swap"] = strconv.FormatUint(swap, 10)
	}
	return f
}

// chosen is the word in brackets of sysfs's "always [madvise] never".
func chosen(s string) string {
	_, rest, ok := strings.Cut(s, "[")
	if !ok {
		return s
	}
	word, _, _ := strings.Cut(rest, "]")
	return word
}
