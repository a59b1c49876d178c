// Package btrfs makes, compares and takes away subvolumes by ioctl(2), as
// include/uapi/linux/btrfs.h and btrfs_tree.h define it: what is timed is the
// file system, not the start of a command-line tool.
package btrfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of type 0x94, as amd64 and arm64 number them.
const (
	sync        = 0x9408
	snapDestroy = 0x5000940f
	treeSearch  = 0xd0009411
	inoLookup   = 0xd0009412
	spaceInfo   = 0xc0109414
	snapCreate  = 0x50009417
	volCreate   = 0x50009418
	setFlags    = 0x4008941a
	send        = 0x40489426
)

const (
	readOnly        = 1 << 1 // BTRFS_SUBVOL_RDONLY
	firstFree       = 256    // BTRFS_FIRST_FREE_OBJECTID: also the inode of a subvolume's root
	rootTree        = 1      // BTRFS_ROOT_TREE_OBJECTID
	rootItem        = 132    // BTRFS_ROOT_ITEM_KEY
	globalReserve   = 1 << 49
	sendNoFileData  = 1 // BTRFS_SEND_FLAG_NO_FILE_DATA
	spaceInfoBytes  = 24
	spaceInfoHeader = 16
)

// volArgs is struct btrfs_ioctl_vol_args.
type volArgs struct {
	fd   int64
	name [4088]byte
}

// volArgs2 is struct btrfs_ioctl_vol_args_v2.
type volArgs2 struct {
	fd      int64
	transid uint64
	flags   uint64
	_       [4]uint64
	name    [4040]byte
}

func ioctl(f *os.File, request uintptr, what string, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg))
	runtime.KeepAlive(f)
	if errno != 0 {
		return &fs.PathError{Op: what, Path: f.Name(), Err: errno}
	}
	return nil
}

// in opens the directory that path is in, for calls that take a name in it.
func in(path string, longest int) (*os.File, string, error) {
	dir, name := filepath.Split(path)
	if name == "" || len(name) > longest {
		return nil, "", fmt.Errorf("subvolume %q: the name is empty or too long", path)
	}
	f, err := os.Open(dir)
	return f, name, err
}

// Create makes an empty subvolume.
func Create(path string) error {
	dir, name, err := in(path, unix.NAME_MAX)
	if err != nil {
		return err
	}
	defer dir.Close()
	var args volArgs2
	copy(args.name[:], name)
	return ioctl(dir, volCreate, "BTRFS_IOC_SUBVOL_CREATE_V2 "+name, unsafe.Pointer(&args))
}

// Snapshot makes a subvolume that shares everything with another.
func Snapshot(path, of string, frozen bool) error {
	source, err := os.Open(of)
	if err != nil {
		return err
	}
	defer source.Close()
	dir, name, err := in(path, unix.NAME_MAX)
	if err != nil {
		return err
	}
	defer dir.Close()
	args := volArgs2{fd: int64(source.Fd())}
	if frozen {
		args.flags = readOnly
	}
	copy(args.name[:], name)
	return ioctl(dir, snapCreate, "BTRFS_IOC_SNAP_CREATE_V2 "+name, unsafe.Pointer(&args))
}

// Freeze makes a subvolume read-only.
func Freeze(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint64(readOnly)
	return ioctl(f, setFlags, "BTRFS_IOC_SUBVOL_SETFLAGS", unsafe.Pointer(&flags))
}

// Destroy takes a subvolume away with those in it, which whoever worked in it
// may have made. Its space comes back later: see [Gone].
func Destroy(path string) error {
	err := destroy(path)
	if !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	if err := destroyNested(path); err != nil {
		return err
	}
	return destroy(path)
}

func destroy(path string) error {
	dir, name, err := in(path, unix.NAME_MAX)
	if err != nil {
		return err
	}
	defer dir.Close()
	var args volArgs
	copy(args.name[:], name)
	return ioctl(dir, snapDestroy, "BTRFS_IOC_SNAP_DESTROY "+name, unsafe.Pointer(&args))
}

func destroyNested(path string) error {
	return filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || at == path {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(at, &st); err != nil {
			return &fs.PathError{Op: "lstat", Path: at, Err: err}
		}
		if st.Ino != firstFree {
			return nil
		}
		if err := Destroy(at); err != nil {
			return err
		}
		return filepath.SkipDir
	})
}

// ID is the subvolume's.
func ID(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// struct btrfs_ioctl_ino_lookup_args; tree 0 is that of the file itself.
	args := struct {
		tree, object uint64
		name         [4080]byte
	}{object: firstFree}
	if err := ioctl(f, inoLookup, "BTRFS_IOC_INO_LOOKUP", unsafe.Pointer(&args)); err != nil {
		return 0, err
	}
	return args.tree, nil
}
