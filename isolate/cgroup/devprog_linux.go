package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A group of the unified hierarchy is kept to devices by a program of type
// BPF_PROG_TYPE_CGROUP_DEVICE, which says 1 or 0 to each attempt (cgroup-v2.rst,
// "Device controller"). The programs are a few comparisons, so they are put
// together here, and loaded by bpf(2) itself: no maps, no relocations, nothing
// that a library would be needed for.

// instruction is struct bpf_insn (linux/bpf.h) but for its two registers,
// which are halves of a byte.
type instruction struct {
	code, registers uint8
	offset          int16
	value           int32
}

// The opcodes that are used, each as class, source and operation make it.
const (
	opLoad32 = 0x61 // dst = *(u32 *)(src + offset)
	opMove   = 0xb7 // dst = value
	opCopy32 = 0xbc // dst = src, lower half
	opAnd32  = 0x54 // dst &= value
	opShift  = 0x74 // dst >>= value, lower half
	opJumpNE = 0x55 // if dst != value, skip offset
	opExit   = 0x95
)

// registers: R1 is the struct bpf_cgroup_dev_ctx, R0 the answer.
const (
	r0 = iota
	r1
	r2 // type: 1 is a block device, 2 a character device
	r3 // access: 1 to make a node, 2 to read, 4 to write
	r4 // major
	r5 // minor
)

// deviceProgram says yes to what any of the rules allows.
func deviceProgram(rules []Device) []instruction {
	program := []instruction{
		{opLoad32, r2 | r1<<4, 0, 0},
		{opCopy32, r3 | r2<<4, 0, 0},
		{opAnd32, r2, 0, 0xffff},
		{opShift, r3, 0, 16},
		{opLoad32, r4 | r1<<4, 4, 0},
		{opLoad32, r5 | r1<<4, 8, 0},
	}
	for _, d := range rules {
		program = append(program, d.check()...)
	}
	return append(program, instruction{opMove, r0, 0, 0}, instruction{code: opExit})
}

// check answers yes if the rule allows the attempt, and goes on behind itself
// if not.
func (d Device) check() []instruction {
	kind := int32(1)
	if d.Type == 'c' {
		kind = 2
	}
	tests := []instruction{{opJumpNE, r2, 0, kind}}
	if refused := ^d.bits() & 7; refused != 0 {
		tests = append(tests, instruction{opCopy32, r1 | r3<<4, 0, 0}, instruction{opAnd32, r1, 0, refused}, instruction{opJumpNE, r1, 0, 0})
	}
	if d.Major != AnyDevice {
		tests = append(tests, instruction{opJumpNE, r4, 0, int32(d.Major)})
	}
	if d.Minor != AnyDevice {
		tests = append(tests, instruction{opJumpNE, r5, 0, int32(d.Minor)})
	}
	all := append(tests, instruction{opMove, r0, 0, 1}, instruction{code: opExit})
	for i := range tests {
		if all[i].code == opJumpNE {
			all[i].offset = int16(len(all) - i - 1)
		}
	}
	return all
}

// bits are BPF_DEVCG_ACC_* (linux/bpf.h).
func (d Device) bits() (bits int32) {
	for i, c := range "mrw" {
		if strings.ContainsRune(d.Access, c) {
			bits |= 1 << i
		}
	}
	return bits
}

// loadDevices hands the kernel the program of those rules.
func loadDevices(rules []Device) (fd int, err error) {
	program := deviceProgram(rules)
	code := make([]byte, 0, len(program)*int(unsafe.Sizeof(instruction{})))
	for _, i := range program {
		code = append(code, i.code, i.registers)
		code = binary.NativeEndian.AppendUint16(code, uint16(i.offset))
		code = binary.NativeEndian.AppendUint32(code, uint32(i.value))
	}
	license := []byte{0} // it calls no helper, so none is asked for
	attr := struct {
		kind, count       uint32
		code, license     uint64
		logLevel, logSize uint32
		log               uint64
		kernel, flags     uint32
		name              [16]byte
	}{
		kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)),
		code: uint64(uintptr(unsafe.Pointer(&code[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	copy(attr.name[:], "plimsoll")
	fd, err = bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	return fd, deviceError("load the program", err)
}

// attachDevices puts a loaded program on a group, and all below it. Those
// that a group above has stay in force.
func attachDevices(dir string, program int) error {
	group, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("limit devices: open %s: %w", dir, err)
	}
	defer unix.Close(group)
	attr := struct{ target, program, kind, flags uint32 }{uint32(group), uint32(program), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI}
	_, err = bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return deviceError("attach the program to "+dir, err)
}

func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

func deviceError(doing string, err error) error {
	hint := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		hint = "it takes CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN; before Linux 5.11 also locked memory: ulimit -l"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		hint = "CONFIG_CGROUP_BPF and CONFIG_BPF_SYSCALL"
	}
	if hint == "" {
		return fmt.Errorf("limit devices: %s: %w", doing, err)
	}
	return fmt.Errorf("limit devices: %s: %w (hint: %s)", doing, err, hint)
}
