package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

// Mark is a moment on the clock that file systems stamp with.
type Mark struct{ at unix.Timespec }

// Now is a Mark not later than the ctime of anything that changes from now on,
// unless somebody sets the clock back. File systems stamp with the time of the
// last tick, or a finer one after it (Documentation/filesystems/multigrain-ts.rst):
// what was written within a tick before Now, up to 10 ms, looks changed too.
func Now() (Mark, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &t); err != nil {
		return Mark{}, err
	}
	t.Nsec -= t.Nsec % int64(time.Microsecond) // a file system in user space may keep no more
	return Mark{t}, nil
}

// reached says whether a ctime is the mark's or later. One of a whole second
// may have been cut to it, as ext4 does where inodes have 128 bytes.
func (m Mark) reached(ctime unix.Timespec) bool {
	if ctime.Sec != m.at.Sec {
		return ctime.Sec > m.at.Sec
	}
	return ctime.Nsec == 0 || ctime.Nsec >= m.at.Nsec
}
