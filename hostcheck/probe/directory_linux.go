package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Scratch is a directory of our own on the file system in question.
type Scratch struct{ Path string }

// scratchPrefix begins the name of a scratch directory; the process's id and
// a random number follow.
const scratchPrefix = ".checkconfig-"

// NewScratch makes one below dir. [Scratch.Remove] takes it away. What a
// killed run of the same user left there is removed.
func NewScratch(dir string) (*Scratch, error) {
	left, _ := filepath.Glob(filepath.Join(dir, scratchPrefix+"*-*"))
	for _, path := range left {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), scratchPrefix), "-")
		var st unix.Stat_t
		if gone(id) && unix.Lstat(path, &st) == nil && int(st.Uid) == os.Geteuid() {
			(&Scratch{path}).Remove()
		}
	}
	path, err := os.MkdirTemp(dir, scratchPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, err
	}
	return &Scratch{path}, nil
}

// gone reports whether a process id is that of no process. In a pid namespace
// other than the first, ids of the processes outside mean nothing, and nothing
// is said to be gone.
func gone(id string) bool {
	if !firstPIDNamespace() {
		return false
	}
	pid, err := strconv.Atoi(id)
	return err == nil && pid > 0 && unix.Kill(pid, 0) == unix.ESRCH
}

// firstPIDNamespace compares with its inode number, fixed since Linux 3.8
// (PROC_PID_INIT_INO in include/linux/proc_ns.h).
func firstPIDNamespace() bool {
	link, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && link == "pid:[4026531836]"
}

// Remove deletes the directory and all in it. The work directory of an
// overlay holds one of mode 0, which only its owner's chmod opens.
func (s *Scratch) Remove() error {
	if os.RemoveAll(s.Path) == nil {
		return nil
	}
	filepath.WalkDir(s.Path, func(path string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(s.Path)
}

// Reflink shares a block between two files (FICLONE, ioctl_ficlonerange(2)).
func (s *Scratch) Reflink() error {
	from, err := os.Create(filepath.Join(s.Path, "reflink-from"))
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.Write(make([]byte, 4096)); err != nil {
		return err
	}
	to, err := os.Create(filepath.Join(s.Path, "reflink-to"))
	if err != nil {
		return err
	}
	defer to.Close()
	if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
		return fmt.Errorf("ioctl(FICLONE): %w", err)
	}
	return nil
}

// DType reports whether directory entries tell their type, which overlayfs
// needs of its layers: XFS made with ftype=0 does not (getdents(2)).
func (s *Scratch) DType() (bool, error) {
	if err := os.WriteFile(filepath.Join(s.Path, "d_type"), nil, 0o600); err != nil {
		return false, err
	}
	fd, err := unix.Open(s.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := unix.Getdents(fd, buf)
	if err != nil {
		return false, fmt.Errorf("getdents64: %w", err)
	}
	return entriesTyped(buf[:n]), nil
}

// entriesTyped looks for an entry other than "." and ".." of known type.
// struct linux_dirent64: ino, off, reclen, type, name.
func entriesTyped(buf []byte) bool {
	for len(buf) > 19 {
		length := int(binary.NativeEndian.Uint16(buf[16:]))
		if length < 20 || length > len(buf) {
			return false
		}
		name := unix.ByteSliceToString(buf[19:length])
		if name != "." && name != ".." && buf[18] != unix.DT_UNKNOWN {
			return true
		}
		buf = buf[length:]
	}
	return false
}

// ProjectQuota asks for the state of project quotas on the file system that
// holds the directory: quotactl_fd(Q_GETINFO), Linux 5.14. ESRCH means that
// they are off.
func (s *Scratch) ProjectQuota() error {
	const (
		getInfo      = 0x800005
		projectQuota = 2
	)
	fd, err := unix.Open(s.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var info [48]byte // struct if_dqinfo
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), getInfo<<8|projectQuota, 0, uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("quotactl_fd(Q_GETINFO, PRJQUOTA): %w", errno)
	}
	return nil
}

// ErrNoCopyUp says that an overlay was mounted and a write to a file of the
// lower layer did not reach the upper one.
var ErrNoCopyUp = errors.New("the file was not copied up")

// Overlay mounts an overlay whose layers lie in the directory, in a mount
// namespace that dies with the child, and writes to a file of the lower
// layer. Without privilege this is done in a user namespace (Linux 5.11).
func (s *Scratch) Overlay(privileged bool) error {
	sub := func(name string) string { return filepath.Join(s.Path, name) }
	kind := map[bool]string{true: "root", false: "user"}[privileged]
	lower, upper, work, merged := sub(kind+"-lower"), sub(kind+"-upper"), sub(kind+"-work"), sub(kind+"-merged")
	for _, d := range []string{lower, upper, work, merged} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(lower, "file"), []byte("lower"), 0o600); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if !privileged {
		options += ",userxattr"
	}
	// Taking an overlay away syncs all of the upper layer's file system, which
	// on a busy host takes seconds; volatile (Linux 5.10) leaves that out.
	err := mountOverlay(privileged, merged, options+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = mountOverlay(privileged, merged, options)
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(upper, "file")); err != nil {
		return ErrNoCopyUp
	}
	return nil
}

// mountOverlay mounts in a child, and writes to the file that is there.
func mountOverlay(privileged bool, merged, options string) error {
	var sc script
	if !privileged {
		sc.becomeRoot()
	}
	ns := sc.call(unix.SYS_UNSHARE, unix.CLONE_NEWNS).orStop()
	private := sc.call(unix.SYS_MOUNT, 0, sc.str("/"), 0, unix.MS_REC|unix.MS_PRIVATE, 0).orStop()
	mount := sc.call(unix.SYS_MOUNT, sc.str("overlay"), sc.str(merged), sc.str("overlay"), 0, sc.str(options)).orStop()
	write := sc.write(filepath.Join(merged, "file"), "upper")
	run := sc.run()
	for _, st := range []struct {
		name string
		*step
	}{{"unshare(CLONE_NEWNS)", ns}, {"mount(/, MS_PRIVATE)", private}, {"mount(overlay)", mount}, {"write to a lower file", write}} {
		if err := sc.blame(run, st.step); err != nil {
			return fmt.Errorf("%s: %w", st.name, err)
		}
	}
	return nil
}

// OverlayOptions offers options to a context for an overlay, which is never
// mounted: fsconfig(2) refuses those the kernel does not have. By key, nil
// where it was taken.
func OverlayOptions(options map[string]string) (map[string]error, error) {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen(overlay): %w", err)
	}
	defer unix.Close(fd)
	answers := map[string]error{}
	for key, value := range options {
		if value == "" {
			answers[key] = unix.FsconfigSetFlag(fd, key)
		} else {
			answers[key] = unix.FsconfigSetString(fd, key, value)
		}
	}
	return answers, nil
}
