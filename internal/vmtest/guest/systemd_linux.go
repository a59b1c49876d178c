package guest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Systemd is process 1 of a machine whose Job names it; it starts this program
// again as a service, which then does the rest of the job.
const Systemd = "/usr/lib/systemd/systemd"

func (j Job) systemd() bool { return j.Init == "systemd" }

// becomeSystemd returns only if it fails.
func becomeSystemd() error {
	err := unix.Exec(Systemd, []string{Systemd}, []string{"PATH=/usr/sbin:/usr/bin"})
	return fmt.Errorf("become %s: %w", Systemd, err)
}

// endSession ends what a test left in its session, where other processes than
// those of the tests live too.
func endSession(leader int) {
	unix.Kill(-leader, unix.SIGKILL)
}

// inService reports whether this is the service of a machine that systemd runs.
func inService() bool { return os.Getpid() != 1 }
