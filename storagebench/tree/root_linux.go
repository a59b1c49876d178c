package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// A root is a directory in which names are looked up as a process would that
// had changed its root to it: symbolic links, absolute or upward, do not lead
// out (openat2(2), RESOLVE_IN_ROOT, Linux 5.6). Names are relative and clean;
// "" is the root itself.
type root struct {
	fd   int
	made []string // directories that mkdirs has made

	// The parent of the last name: archives are in the order of directories.
	parentName string
	parentFD   int
}

func openRoot(dir string) (*root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &root{fd: fd, parentFD: -1}, nil
}

func (r *root) close() {
	r.forget()
	unix.Close(r.fd)
}

// forget is called after anything was removed: the parent may be gone.
func (r *root) forget() {
	if r.parentFD >= 0 {
		unix.Close(r.parentFD)
	}
	r.parentFD = -1
}

// at gives the directory that holds name, and name's last component. The
// descriptor is valid until the next call. The root itself is "." in the root.
func (r *root) at(name string) (dirfd int, base string, err error) {
	if name == "" {
		return r.fd, ".", nil
	}
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if dir == "" {
		return r.fd, base, nil
	}
	if r.parentFD >= 0 && r.parentName == dir {
		return r.parentFD, base, nil
	}
	fd, err := r.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, "", err
	}
	r.forget()
	r.parentName, r.parentFD = dir, fd
	return fd, base, nil
}

func (r *root) open(name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	// A rename or mount anywhere on the host while a link with ".." in it is
	// followed gives EAGAIN: openat2(2) says to try again.
	for range 1000 {
		fd, err := unix.Openat2(r.fd, name, &how)
		switch err {
		case nil:
			return fd, nil
		case unix.EAGAIN, unix.EINTR:
			continue
		case unix.ENOSYS:
			return -1, fmt.Errorf("openat2: %w: Linux 5.6 has it, and nothing older can unpack an archive safely", err)
		}
		return -1, err
	}
	return -1, unix.EAGAIN
}

// mkdirs makes the directories that lead to name and are not there, with
// mode 0755: an archive need not list them.
func (r *root) mkdirs(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	if _, _, err := r.at(name); !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := r.mkdirs(dir); err != nil {
		return err
	}
	fd, base, err := r.at(dir)
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(fd, base, 0o755); err != nil {
		return &os.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	r.made = append(r.made, dir)
	return unix.Fchmodat(fd, base, 0o755, 0) // whatever the umask is
}

// remove takes away name and all below it.
func (r *root) remove(name string) error {
	fd, base, err := r.at(name)
	if err == nil {
		err = os.RemoveAll(entry(fd, base))
	}
	r.forget()
	if missing(err) {
		return nil
	}
	return err
}

// children are the names in a directory; none where there is no directory.
func (r *root) children(name string) ([]string, error) {
	dirfd, base, err := r.at(name)
	if missing(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(dirfd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if missing(err) || err == unix.ELOOP {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// stat does not follow a link.
func (r *root) stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, base, err := r.at(name)
	if err == nil {
		err = unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return st, err
}

// entry is a path for the calls that take no directory descriptor.
func entry(dirfd int, base string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dirfd, base) }

func missing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}
