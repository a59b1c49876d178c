package btrfs

import (
	"context"
	"errors"
	"os"
	"unsafe"
)

// Changed gives the paths in which a read-only subvolume differs from another
// that it was cloned from: see [Candidates].
func Changed(ctx context.Context, path, parent string) ([]string, error) {
	id, err := ID(parent)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close() // ends what still writes, too
	defer context.AfterFunc(ctx, func() { r.Close() })()
	sent := make(chan error, 1)
	go func() {
		// struct btrfs_ioctl_send_args
		args := struct {
			fd       int64
			sources  uint64
			source   uintptr
			parent   uint64
			flags    uint64
			version  uint32
			reserved [28]byte
		}{fd: int64(w.Fd()), parent: id, flags: sendNoFileData}
		err := ioctl(f, send, "BTRFS_IOC_SEND", unsafe.Pointer(&args))
		sent <- errors.Join(err, w.Close())
	}()
	paths, err := Candidates(r)
	r.Close()
	if sendErr := <-sent; err != nil || sendErr != nil {
		return nil, errors.Join(ctx.Err(), sendErr, err)
	}
	return paths, nil
}
