package probe

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Namespace kinds, by the names of /proc/PID/ns (namespaces(7)). The network
// namespace is made by [Network], which needs one anyway.
var namespaceFlags = []struct {
	Name string
	flag uintptr
}{
	{"mnt", unix.CLONE_NEWNS},
	{"uts", unix.CLONE_NEWUTS},
	{"ipc", unix.CLONE_NEWIPC},
	{"pid", unix.CLONE_NEWPID},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"time", unix.CLONE_NEWTIME},
}

// Namespaces makes one namespace of each kind but user and net, and says by
// name what unshare(2) answered. Without privilege they are made inside a user
// namespace; if that cannot be made, its error is every kind's.
func Namespaces(privileged bool) map[string]error {
	var s script
	if !privileged {
		s.becomeRoot()
	}
	steps := map[string]*step{}
	for _, ns := range namespaceFlags {
		steps[ns.Name] = s.call(unix.SYS_UNSHARE, ns.flag)
	}
	err := s.run()
	answers := map[string]error{}
	for name, st := range steps {
		answers[name] = s.blame(err, st)
	}
	return answers
}

// blame is the error of st, or if st was not made, of the step that stopped
// the script.
func (s *script) blame(run error, st *step) error {
	if run != nil {
		return run
	}
	if st.taken == 0 {
		if err := s.firstError(); err != nil {
			return fmt.Errorf("make a user namespace first: %w", err)
		}
	}
	return st.err()
}

// firstError is that of the step that ended the script, nil if none did.
func (s *script) firstError() error {
	for _, st := range s.steps {
		if st.ret < 0 && st.skip == ^uintptr(0) {
			return st.err()
		}
	}
	return nil
}

// UserStage is one step towards a usable user namespace.
type UserStage struct {
	Name string // what was tried
	Err  error
}

// StageDrop is the stage in which root becomes an ordinary user. It is there
// only if it failed, and then alone.
const StageDrop = "become an ordinary user"

// nobody is a user that no process and no file is of: a child of that user
// shares our memory for a moment, and only root may look into it.
const nobody = 3_999_999_999

// UserNamespace makes a user namespace in stages and stops at none: a later
// stage may fail though the earlier ones passed, for an LSM can let a
// namespace be made and then refuse every capability in it. With drop it
// first becomes an ordinary user, as root can; root itself is refused little.
func UserNamespace(drop bool) []UserStage {
	var s script
	id := os.Geteuid()
	var become *step
	if drop {
		id = nobody
		s.call(unix.SYS_SETGROUPS, 0, 0).orStop()
		s.call(unix.SYS_SETRESGID, nobody, nobody, nobody).orStop()
		become = s.call(unix.SYS_SETRESUID, nobody, nobody, nobody).orStop()
		// Losing privilege makes /proc/self root's, and the maps unwritable.
		s.call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
		dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		defer unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(dumpable), 0, 0, 0) // the memory, and so the flag, is shared
	}
	create, uid, gid := s.userNamespace(id, map[bool]int{true: nobody, false: os.Getegid()}[drop])
	mnt := s.call(unix.SYS_UNSHARE, unix.CLONE_NEWNS)
	private := s.call(unix.SYS_MOUNT, 0, s.str("/"), 0, unix.MS_REC|unix.MS_PRIVATE, 0).orSkip(1)
	tmpfs := s.call(unix.SYS_MOUNT, s.str("tmpfs"), s.str("/tmp"), s.str("tmpfs"), 0, 0)
	s.call(unix.SYS_UNSHARE, unix.CLONE_NEWUTS)
	uts := s.call(unix.SYS_SETHOSTNAME, s.str("probe"), 5)
	err := s.run()
	if become != nil && become.err() != nil {
		return []UserStage{{StageDrop, s.firstError()}}
	}
	stages := []UserStage{{"unshare(CLONE_NEWUSER)", s.blame(err, create)}}
	if stages[0].Err != nil {
		return stages
	}
	for _, st := range []struct {
		name string
		*step
	}{
		{"write /proc/self/uid_map", uid},
		{"write /proc/self/gid_map", gid},
		{"unshare(CLONE_NEWNS) in it", mnt},
		{"mount(/, MS_PRIVATE) in it", private},
		{"mount(tmpfs) in it", tmpfs},
		{"sethostname() in it", uts},
	} {
		stages = append(stages, UserStage{st.name, st.err()})
	}
	return stages
}

// becomeRoot makes a user namespace in which the caller is root: the one map
// that needs no privilege (user_namespaces(7)).
func (s *script) becomeRoot() { s.userNamespace(os.Geteuid(), os.Getegid()) }

func (s *script) userNamespace(outerUID, outerGID int) (create, uid, gid *step) {
	create = s.call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER).orStop()
	s.write("/proc/self/setgroups", "deny")
	uid = s.write("/proc/self/uid_map", fmt.Sprintf("0 %d 1", outerUID))
	gid = s.write("/proc/self/gid_map", fmt.Sprintf("0 %d 1", outerGID))
	return create, uid, gid
}

// atCWD is AT_FDCWD as a register holds it.
const atCWD = ^uintptr(99)

// write adds opening a file and writing to it; the step is the write, whose
// descriptor is an errno if the file could not be opened.
func (s *script) write(path, text string) *step {
	f := s.call(unix.SYS_OPENAT, atCWD, s.str(path), unix.O_WRONLY|unix.O_CLOEXEC)
	w := s.with(f, unix.SYS_WRITE, s.ptr([]byte(text)), uintptr(len(text)))
	return w
}
