package operation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fileQuirks are about what a file of the image holds, and who looks at it.
// What an overlay does otherwise is in "Non-standard behavior", overlayfs.rst.
var fileQuirks = []Quirk{
	{"open_descriptor", "a descriptor that was open before sees what others write", "a reader that keeps a file open (a log, a database) reads stale data", openDescriptor},
	{"shared_mapping", "a shared mapping made before sees what others write", "programs that share a file through memory lose each other's changes", sharedMapping},
	{"mapped_write", "what is written through a shared mapping is read from the file", "databases that map their files (LMDB, the index of an SQLite log) break", mappedWrite},
	{"inode_number", "a file keeps its inode and device number when it changes", "tail -F, backups and mail readers take it for another file", inodeNumber},
	{"one_device", "all files of a root have the device number of its directory", "find -xdev, du -x and tar --one-file-system leave files out", oneDevice},
	{"hard_links", "a change through one name of a file is seen through the other", "a file with two names falls apart into two files", hardLinks},
	{"metadata_kept", "a change of the mode leaves size, owner and times as they are", "make and rsync take the file for changed", metadataKept},
	{"locks", "a lock holds, whether the file was opened for reading or for writing", "two programs believe that each has the file alone", locks},
	{"inotify", "a watch on a file reports a change", "programs that reload their settings do not notice", inotify},
	{"unlinked_open", "a file that was removed can be read by who has it open", "programs die when a package is upgraded under them", unlinkedOpen},
	{"direct_io", "a file can be read and written with O_DIRECT", "databases refuse to start, or fall back", directIO},
	{"preallocate", "fallocate reserves space", "databases and torrents cannot reserve space", preallocate},
	{"punch_hole", "fallocate gives space in the middle of a file back", "what a virtual disk or a journal gave up stays taken", punchHole},
}

// change changes one byte of the scene's file, as another program would.
func (s scene) change(value byte) error { return overwrite(file{path: s.file()}, value) }

func openDescriptor(_ context.Context, s scene) error {
	f, err := os.Open(s.file())
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return err
	}
	if err := s.change('!'); err != nil {
		return err
	}
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return err
	}
	if b[0] != '!' {
		return errors.New("the descriptor shows what the file was")
	}
	return nil
}

func sharedMapping(_ context.Context, s scene) error {
	mapped, err := mapFile(s.file(), unix.O_RDONLY, unix.PROT_READ)
	if err != nil {
		return err
	}
	defer unix.Munmap(mapped)
	was := mapped[0]
	if err := s.change('!'); err != nil {
		return err
	}
	if mapped[0] != '!' || was == '!' {
		return errors.New("the mapping shows what the file was")
	}
	return nil
}

func mappedWrite(_ context.Context, s scene) error {
	mapped, err := mapFile(s.file(), unix.O_RDWR, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	defer unix.Munmap(mapped)
	mapped[0] = '!'
	content, err := os.ReadFile(s.file())
	if err == nil && content[0] != '!' {
		err = errors.New("the file does not have what was written to the mapping")
	}
	return err
}

func mapFile(path string, flags, protection int) ([]byte, error) {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), protection, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return mapped, nil
}

func inodeNumber(_ context.Context, s scene) error {
	f, err := os.Open(s.file())
	if err != nil {
		return err
	}
	defer f.Close()
	var before, after, open unix.Stat_t
	if err := unix.Stat(s.file(), &before); err != nil {
		return err
	}
	if err := s.change('!'); err != nil {
		return err
	}
	if err := errors.Join(unix.Stat(s.file(), &after), unix.Fstat(int(f.Fd()), &open)); err != nil {
		return err
	}
	if before.Ino != after.Ino || before.Dev != after.Dev {
		return fmt.Errorf("inode %d of device %#x becomes %d of %#x", before.Ino, before.Dev, after.Ino, after.Dev)
	}
	if open.Ino != after.Ino || open.Dev != after.Dev {
		return fmt.Errorf("the open descriptor has inode %d, the path %d", open.Ino, after.Ino)
	}
	return nil
}

func oneDevice(_ context.Context, s scene) error {
	if err := os.WriteFile(s.path("new"), nil, 0o600); err != nil {
		return err
	}
	var root, st unix.Stat_t
	if err := unix.Stat(s.root, &root); err != nil {
		return err
	}
	for _, name := range []string{"file", "new", "directory", "directory/upper"} {
		if err := unix.Lstat(s.path(name), &st); err != nil {
			return err
		}
		if st.Dev != root.Dev {
			return fmt.Errorf("%s has device %#x, the root %#x", name, st.Dev, root.Dev)
		}
	}
	return nil
}

func hardLinks(_ context.Context, s scene) error {
	if err := overwrite(file{path: s.path("one")}, '!'); err != nil {
		return err
	}
	two, err := os.ReadFile(s.path("two"))
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(s.path("one"), &st); err != nil {
		return err
	}
	if two[0] != '!' || st.Nlink != 2 {
		return fmt.Errorf("after a change through one name the other shows %q; the file has %d names", two[0], st.Nlink)
	}
	return nil
}

func metadataKept(_ context.Context, s scene) error {
	var before, after unix.Stat_t
	if err := unix.Stat(s.file(), &before); err != nil {
		return err
	}
	if err := unix.Chmod(s.file(), 0o600); err != nil {
		return err
	}
	if err := unix.Stat(s.file(), &after); err != nil {
		return err
	}
	if after.Mode&0o7777 != 0o600 || after.Mtim != before.Mtim || after.Size != before.Size || after.Uid != before.Uid || after.Gid != before.Gid {
		return fmt.Errorf("after chmod 600: mode %o, mtime %d ns later, size %d of %d, owner %d:%d",
			after.Mode&0o7777, after.Mtim.Nano()-before.Mtim.Nano(), after.Size, before.Size, after.Uid, after.Gid)
	}
	return nil
}

func locks(_ context.Context, s scene) error {
	held, err := os.Open(s.file())
	if err != nil {
		return err
	}
	defer held.Close()
	read := unix.Flock_t{Type: unix.F_RDLCK}
	if err := errors.Join(unix.Flock(int(held.Fd()), unix.LOCK_EX), unix.FcntlFlock(held.Fd(), unix.F_OFD_SETLK, &read)); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	wanted, err := os.OpenFile(s.file(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer wanted.Close()
	if _, err := wanted.WriteAt([]byte("!"), 0); err != nil {
		return err
	}
	if err := unix.Flock(int(wanted.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("flock gives two programs the file alone (%v)", err)
	}
	write := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(wanted.Fd(), unix.F_OFD_SETLK, &write); !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("fcntl gives one program the file alone while another reads it (%v)", err)
	}
	return nil
}

func inotify(_ context.Context, s scene) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify_init1: %w", err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, s.file(), unix.IN_MODIFY); err != nil {
		return fmt.Errorf("inotify_add_watch: %w", err)
	}
	if err := s.change('!'); err != nil {
		return err
	}
	// The event is queued by the write itself.
	events := make([]byte, 4096)
	if _, err := unix.Read(fd, events); err != nil {
		return fmt.Errorf("no event: %w", err)
	}
	return nil
}

func unlinkedOpen(_ context.Context, s scene) error {
	f, err := os.Open(s.file())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(s.file()); err != nil {
		return err
	}
	content := make([]byte, len(quirkFiles["file"]))
	if _, err := f.ReadAt(content, 0); err != nil {
		return err
	}
	if string(content) != quirkFiles["file"] {
		return errors.New("it holds something else then")
	}
	return nil
}

func directIO(_ context.Context, s scene) error {
	f, err := os.OpenFile(s.path("direct"), os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// A mapping is aligned as any device wants it.
	buffer, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(buffer)
	copy(buffer, "direct")
	if _, err := f.WriteAt(buffer, 0); err != nil {
		return err
	}
	clear(buffer)
	if _, err := f.ReadAt(buffer, 0); err != nil {
		return err
	}
	if string(buffer[:6]) != "direct" {
		return errors.New("what was written is not there")
	}
	return nil
}

// allocated is how many bytes a file takes.
func allocated(f *os.File) (int64, error) {
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return st.Blocks * 512, err
}

func preallocate(_ context.Context, s scene) error {
	f, err := os.Create(s.path("reserved"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 1<<20); err != nil {
		return fmt.Errorf("fallocate: %w", err)
	}
	if n, err := allocated(f); err != nil || n < 1<<20 {
		return fmt.Errorf("1 MiB was reserved, and %d bytes are taken (%v)", n, err)
	}
	return nil
}

func punchHole(_ context.Context, s scene) error {
	f, err := os.OpenFile(s.path("punched"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(noise(1 << 20)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 256<<10, 512<<10); err != nil {
		return fmt.Errorf("fallocate: %w", err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], 512<<10); err != nil || b[0] != 0 {
		return fmt.Errorf("the hole holds %#x (%v)", b[0], err)
	}
	var n int64
	for range 50 { // some file systems count later
		if n, err = allocated(f); err != nil || n <= 768<<10 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("512 KiB of 1 MiB were given back, and the file takes %d bytes", n)
}
