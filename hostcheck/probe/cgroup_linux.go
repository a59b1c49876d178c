package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leafPrefix begins the name of a cgroup made here; the process's id and a
// random number follow.
const leafPrefix = "checkconfig-"

// Leaf is a cgroup of our own, empty, for as long as the question takes.
type Leaf struct{ Path string }

// NewLeaf makes one below parent. What a killed run left there is removed.
func NewLeaf(parent string) (*Leaf, error) {
	Sweep(parent)
	path, err := os.MkdirTemp(parent, leafPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	return &Leaf{path}, nil
}

// Sweep removes the leaves below parent whose makers are gone: a run that is
// killed leaves one.
func Sweep(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, leafPrefix+"*-*"))
	for _, path := range left {
		if id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), leafPrefix), "-"); gone(id) {
			unix.Rmdir(path)
		}
	}
}

// Remove takes the cgroup away.
func (l *Leaf) Remove() error { return unix.Rmdir(l.Path) }

// Has reports whether the cgroup has an interface file.
func (l *Leaf) Has(file string) bool {
	return unix.Access(filepath.Join(l.Path, file), unix.F_OK) == nil
}

// Write sets a limit. On an empty cgroup it limits nothing.
func (l *Leaf) Write(file, value string) error {
	path := filepath.Join(l.Path, file)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}

// Read gives the value of an interface file.
func (l *Leaf) Read(file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(l.Path, file))
	return strings.TrimSpace(string(b)), err
}

// DeviceProgram loads a BPF program that allows every device and attaches it,
// which is how devices are confined on cgroup v2
// (Documentation/admin-guide/cgroup-v2.rst, "Device controller"). It goes with
// the cgroup.
func (l *Leaf) DeviceProgram() error {
	const (
		progLoad, progAttach = 5, 8
		typeCgroupDevice     = 15
		attachCgroupDevice   = 6
	)
	// mov r0, 1; exit
	instructions := []uint64{0x00000001_0000_00b7, 0x95}
	license := []byte("GPL\x00")
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&instructions[0])
	pins.Pin(&license[0])
	load := struct {
		kind, count           uint32
		instructions, license uint64
		logLevel, logSize     uint32
		log                   uint64
		version, flags        uint32
		_                     [64]byte
	}{kind: typeCgroupDevice, count: 2,
		instructions: uint64(uintptr(unsafe.Pointer(&instructions[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	program, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(unsafe.Pointer(&load)), unsafe.Sizeof(load))
	if errno != 0 {
		return fmt.Errorf("bpf(BPF_PROG_LOAD, CGROUP_DEVICE): %w", errno)
	}
	defer unix.Close(int(program))
	fd, err := unix.Open(l.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attach := struct {
		target, program, kind, flags uint32
	}{uint32(fd), uint32(program), attachCgroupDevice, 0}
	_, _, errno = unix.Syscall(unix.SYS_BPF, progAttach, uintptr(unsafe.Pointer(&attach)), unsafe.Sizeof(attach))
	if errno != 0 {
		return fmt.Errorf("bpf(BPF_PROG_ATTACH, CGROUP_DEVICE): %w", errno)
	}
	return nil
}
