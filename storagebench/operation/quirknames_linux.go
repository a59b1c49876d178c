package operation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// nameQuirks are about directories, names and attributes.
var nameQuirks = []Quirk{
	{"rename_directory", "rename moves a directory of the image", "programs that do not expect EXDEV fail; mv copies", tryRenameDirectory},
	{"recreate", "what is removed and made again is new and empty", "removed files come back", recreate},
	{"rename_away", "what was renamed onto a file of the image and away again leaves nothing", "removed files come back, and their directory cannot be removed", renameAway},
	{"d_type", "reading a directory tells the types of its entries", "find and package managers ask for each file, or miss some", dType},
	{"user_xattr", "a file of the image takes attributes of users", "metadata of desktops, Samba and package tools is lost", userXattr},
	{"trusted_xattr", "a file of the image takes attributes of the administrator", "container engines and GlusterFS do not work inside", trustedXattr},
	{"file_capability", "a program's capabilities are as in the image, and stay when it is renamed", "ping and servers on low ports need root again", fileCapability},
	{"unnamed_file", "O_TMPFILE makes a file without a name, which can get one", "programs that write files atomically fall back, or fail", unnamedFile},
	{"file_handles", "a file can be opened by its handle", "it cannot be exported over NFS; fanotify cannot name files", fileHandles},
	{"nested_overlay", "an overlay can have its upper directory here", "container engines inside (Docker in Docker) fall back to copying", nestedOverlay},
}

func tryRenameDirectory(_ context.Context, s scene) error {
	if err := unix.Rename(s.path("directory"), s.path("renamed")); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	for _, name := range []string{"lower", "upper", "below/deep"} {
		content, err := os.ReadFile(filepath.Join(s.path("renamed"), name))
		if err != nil {
			return err
		}
		if string(content) != quirkFiles["directory/"+name] {
			return fmt.Errorf("%s holds something else then", name)
		}
	}
	return nil
}

func recreate(_ context.Context, s scene) error {
	if err := errors.Join(os.Remove(s.file()), os.RemoveAll(s.path("directory"))); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "file" || e.Name() == "directory" {
			return fmt.Errorf("%s was removed, and is listed", e.Name())
		}
	}
	if err := errors.Join(os.WriteFile(s.file(), []byte("new"), 0o600), os.Mkdir(s.path("directory"), 0o755)); err != nil {
		return err
	}
	content, err := os.ReadFile(s.file())
	if err != nil {
		return err
	}
	if string(content) != "new" {
		return errors.New("a file that was made again holds something else")
	}
	if entries, err = os.ReadDir(s.path("directory")); err == nil && len(entries) > 0 {
		err = fmt.Errorf("a directory that was made again has %s in it", entries[0].Name())
	}
	return err
}

func renameAway(_ context.Context, s scene) error {
	if err := os.WriteFile(s.path("new"), nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(unix.Rename(s.path("new"), s.file()), unix.Rename(s.file(), s.path("away"))); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	if _, err := os.Lstat(s.file()); err == nil {
		return errors.New("the file of the image is there again")
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func dType(_ context.Context, s scene) error {
	f, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	buffer := make([]byte, 64<<10)
	n, err := unix.Getdents(int(f.Fd()), buffer)
	if err != nil {
		return fmt.Errorf("getdents64: %w", err)
	}
	types := entryTypes(buffer[:n])
	for name, want := range map[string]byte{"file": unix.DT_REG, "directory": unix.DT_DIR, "symlink": unix.DT_LNK, "fifo": unix.DT_FIFO} {
		if got, ok := types[name]; !ok || got != want {
			return fmt.Errorf("%s has type %d, and should have %d", name, got, want)
		}
	}
	return nil
}

// entryTypes reads what getdents64(2) fills in: d_reclen at 16, d_type at 18,
// d_name from 19 on, up to a null.
func entryTypes(entries []byte) map[string]byte {
	types := map[string]byte{}
	for len(entries) > 19 {
		size := int(binary.NativeEndian.Uint16(entries[16:]))
		if size < 19 || size > len(entries) {
			break
		}
		types[unix.ByteSliceToString(entries[19:size])] = entries[18]
		entries = entries[size:]
	}
	return types
}

func userXattr(_ context.Context, s scene) error    { return s.xattr("user.plimsoll") }
func trustedXattr(_ context.Context, s scene) error { return s.xattr("trusted.plimsoll") }

func (s scene) xattr(name string) error {
	if err := unix.Setxattr(s.file(), name, []byte("value"), 0); err != nil {
		return fmt.Errorf("setxattr %s: %w", name, err)
	}
	return s.hasXattr("file", name, "value")
}

func (s scene) hasXattr(path, name, want string) error {
	value := make([]byte, 64)
	n, err := unix.Getxattr(s.path(path), name, value)
	if err != nil {
		return fmt.Errorf("getxattr %s: %w", name, err)
	}
	if string(value[:n]) != want {
		return fmt.Errorf("%s is %q, and should be %q", name, value[:n], want)
	}
	return nil
}

func fileCapability(_ context.Context, s scene) error {
	if err := s.hasXattr("capable", "security.capability", capability); err != nil {
		return err
	}
	if err := unix.Rename(s.path("capable"), s.path("renamed")); err != nil {
		return err
	}
	return s.hasXattr("renamed", "security.capability", capability)
}

func unnamedFile(_ context.Context, s scene) error {
	fd, err := unix.Open(s.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open with O_TMPFILE: %w", err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte("atomic")); err != nil {
		return err
	}
	if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, s.path("named"), unix.AT_SYMLINK_FOLLOW); err != nil {
		return fmt.Errorf("linkat: %w", err)
	}
	content, err := os.ReadFile(s.path("named"))
	if err == nil && string(content) != "atomic" {
		err = errors.New("what was written is not there")
	}
	return err
}

func fileHandles(_ context.Context, s scene) error {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, s.file(), 0)
	if err != nil {
		return fmt.Errorf("name_to_handle_at: %w", err)
	}
	root, err := os.Open(s.root)
	if err != nil {
		return err
	}
	defer root.Close()
	fd, err := unix.OpenByHandleAt(int(root.Fd()), handle, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_by_handle_at: %w", err)
	}
	return unix.Close(fd)
}

func nestedOverlay(_ context.Context, s scene) (err error) {
	for _, name := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(s.path(name), 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", s.path("directory"), s.path("upper"), s.path("work"))
	if err := unix.Mount("overlay", s.path("merged"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(s.path("merged"), unix.MNT_DETACH)) }()
	if err := os.WriteFile(filepath.Join(s.path("merged"), "new"), nil, 0o600); err != nil {
		return err
	}
	_, err = os.Lstat(filepath.Join(s.path("upper"), "new"))
	return err
}
