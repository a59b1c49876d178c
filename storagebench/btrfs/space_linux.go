package btrfs

import (
	"encoding/binary"
	"os"
	"unsafe"
)

// Used is what data and metadata take, in bytes. statfs(2) counts the global
// reserve too, which grows and shrinks by itself.
func Used(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// struct btrfs_ioctl_space_args: slots given, slots there are, and for each
	// flags, total and used. There are four or five.
	var args [spaceInfoHeader + 32*spaceInfoBytes]byte
	binary.NativeEndian.PutUint64(args[:], 32)
	if err := ioctl(f, spaceInfo, "BTRFS_IOC_SPACE_INFO", unsafe.Pointer(&args)); err != nil {
		return 0, err
	}
	var used int64
	for i := range min(32, binary.NativeEndian.Uint64(args[8:])) {
		info := args[spaceInfoHeader+i*spaceInfoBytes:]
		if binary.NativeEndian.Uint64(info)&globalReserve == 0 {
			used += int64(binary.NativeEndian.Uint64(info[16:]))
		}
	}
	return used, nil
}

// Sync commits what was done to the file system, and wakes what gives back the
// space of destroyed subvolumes.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return ioctl(f, sync, "BTRFS_IOC_SYNC", nil)
}

// Gone says whether a destroyed subvolume has given all its space back: then
// the root tree has no item of it any more.
func Gone(path string, id uint64) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	// struct btrfs_ioctl_search_args: a key, and a buffer for what is found.
	args := struct {
		tree                       uint64
		minObject, maxObject       uint64
		minOffset, maxOffset       uint64
		minTransid, maxTransid     uint64
		minType, maxType, items, _ uint32
		_                          [4]uint64
		found                      [4096 - 104]byte
	}{
		tree:      rootTree,
		minObject: id, maxObject: id,
		maxOffset:  ^uint64(0),
		maxTransid: ^uint64(0),
		minType:    rootItem, maxType: rootItem,
		items: 1,
	}
	if err := ioctl(f, treeSearch, "BTRFS_IOC_TREE_SEARCH", unsafe.Pointer(&args)); err != nil {
		return false, err
	}
	return args.items == 0, nil
}
