package cgroup

import "fmt"

// HugetlbLimit is how much memory of huge pages of one size a group may
// reserve and use.
type HugetlbLimit struct {
	PageSize int64 // bytes, as in /sys/kernel/mm/hugepages
	Max      int64 // bytes; 0 is none
}

func (h HugetlbLimit) validate() error {
	if h.PageSize < 4<<10 || h.PageSize&(h.PageSize-1) != 0 {
		return fmt.Errorf("page size %d: must be a power of 2, as in /sys/kernel/mm/hugepages", h.PageSize)
	}
	if h.Max < 0 || h.Max%h.PageSize != 0 {
		return fmt.Errorf("%d: must be whole pages of %d bytes", h.Max, h.PageSize)
	}
	return nil
}

// PageName is the page size as the kernel writes it in the names of files,
// "2MB" (hugetlb_cgroup_file_init in mm/hugetlb_cgroup.c).
func (h HugetlbLimit) PageName() string {
	switch {
	case h.PageSize >= 1<<30:
		return fmt.Sprintf("%dGB", h.PageSize>>30)
	case h.PageSize >= 1<<20:
		return fmt.Sprintf("%dMB", h.PageSize>>20)
	}
	return fmt.Sprintf("%dKB", h.PageSize>>10)
}

// hugetlbLimits limits what is reserved too, since Linux 5.7: mmap then
// fails, where without it the program dies of SIGBUS at its first access.
func hugetlbLimits(file string) func(Limits) []Value {
	return func(l Limits) (vs []Value) {
		for _, h := range l.Hugetlb {
			used := "hugetlb." + h.PageName() + "."
			vs = append(vs, Value{File: used + file, Data: format(h.Max), Also: &Value{File: used + "rsvd." + file, Data: format(h.Max)}})
		}
		return vs
	}
}
