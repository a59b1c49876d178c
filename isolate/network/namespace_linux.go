package network

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace makes a network namespace such as a container on a bridge has, for
// runtimes that make no link themselves and join a namespace by its path. It
// has no name: it is /proc/PID/fd/FD of this process, and ends with its link
// when the file is closed and nobody is left in it.
func (n *Net) Namespace() (*os.File, error) {
	var file *os.File
	route := socket{-1}
	err := inNewNamespace(func() (err error) {
		if file, err = os.Open(threadNamespace); err == nil {
			route, err = openSocket(unix.NETLINK_ROUTE)
		}
		return err
	})
	if err == nil {
		err = n.plan.attach(int(n.next.Add(1)-1), int(n.router.Fd())).send(route)
	}
	if err == nil {
		err = route.request(nil, linkUp(loIndex))
	}
	err = errors.Join(err, route.Close())
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("network namespace of a container: %w", err)
	}
	return file, nil
}

// send makes the requests of an attachment.
func (a *Attachment) send(route socket) error {
	for _, r := range a.Requests {
		if err := route.request(nil, message(r.Message)); err != nil && !errors.Is(err, r.Try) {
			return fmt.Errorf("%s %s: %w (hint: %s)", r.Phase, r.Object, err, r.Hint)
		}
	}
	return nil
}

// inNewNamespace calls f in a network namespace of its own, which lasts as
// long as what f opens in it.
func inNewNamespace(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("network namespace of the host: %w", err)
	}
	defer home.Close()
	if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("make a network namespace: %w (hint: needs root, and CONFIG_NET_NS)", err)
	}
	err = f()
	if homeErr := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); homeErr != nil {
		// The thread stays locked: no other goroutine is to get onto it.
		return errors.Join(err, fmt.Errorf("return to the host's network namespace: %w", homeErr))
	}
	runtime.UnlockOSThread()
	return err
}

// threadNamespace is not that of /proc/self, which is the main thread's.
const threadNamespace = "/proc/thread-self/ns/net"
