//go:build ignore

// Writes numbers.txt: the system calls of every ABI, from the tables of the
// golang.org/x/sys that go.mod pins.
package main

import (
	"bytes"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var columns = []string{"amd64", "x32", "386", "arm64", "arm"}

// x32 has amd64's numbers but for these, from 512 on (arch/x86/entry/syscalls/syscall_64.tbl).
var x32 = strings.Fields(`rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace
	rt_sigpending rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid
	set_robust_list get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg
	process_vm_readv process_vm_writev setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2`)

// notX32 are calls of amd64 that x32 never had.
var notX32 = strings.Fields(`_sysctl create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area
	nfsservctl query_module set_thread_area uselib vserver`)

// arm has calls of its own far above the others (arch/arm/include/uapi/asm/unistd.h).
var arm = map[string]int{"breakpoint": 0xf0001, "cacheflush": 0xf0002, "usr26": 0xf0003, "usr32": 0xf0004, "set_tls": 0xf0005}

func main() {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		log.Fatal(err)
	}
	table := map[string]map[string]int{} // by name, then column
	set := func(name, column string, nr int) {
		if table[name] == nil {
			table[name] = map[string]int{}
		}
		table[name][column] = nr
	}
	line := regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)`)
	for _, arch := range []string{"amd64", "386", "arm64", "arm"} {
		b, err := os.ReadFile(strings.TrimSpace(string(dir)) + "/unix/zsysnum_linux_" + arch + ".go")
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range line.FindAllSubmatch(b, -1) {
			nr, _ := strconv.Atoi(string(m[2]))
			name := strings.ToLower(string(m[1]))
			set(name, arch, nr)
			if arch == "amd64" && !slices.Contains(notX32, name) {
				set(name, "x32", nr)
			}
		}
	}
	for i, name := range x32 {
		set(name, "x32", 512+i)
	}
	for name, nr := range arm {
		set(name, "arm", nr)
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, "# System calls by ABI, written by go generate. x32 goes without its bit 30.")
	fmt.Fprintln(&out, "#", strings.Join(columns, " "))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		fmt.Fprint(&out, name)
		for _, column := range columns {
			if nr, ok := table[name][column]; ok {
				fmt.Fprintf(&out, " %d", nr)
			} else {
				fmt.Fprint(&out, " -")
			}
		}
		fmt.Fprintln(&out)
	}
	if err := os.WriteFile("numbers.txt", out.Bytes(), 0o644); err != nil {
		log.Fatal(err)
	}
}
