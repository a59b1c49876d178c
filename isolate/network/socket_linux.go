package network

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// socket is a netlink socket. It belongs to the network namespace that its
// maker was in.
type socket struct{ fd int }

func openSocket(protocol int) (socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return socket{-1}, os.NewSyscallError("netlink socket", err)
	}
	return socket{fd}, nil
}

func (s socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	return unix.Close(s.fd)
}

// request sends messages, together, and returns the first error that the
// kernel answers; replies that are no acknowledgements go to yield.
func (s socket) request(yield func(kind int, body []byte), messages ...message) error {
	var all []byte
	acks := 0
	for i, m := range messages {
		native.PutUint32(m[8:], uint32(i+1)) // sequence number
		if native.Uint16(m[6:])&unix.NLM_F_ACK != 0 {
			acks++
		}
		all = append(all, m...)
	}
	if err := unix.Sendto(s.fd, all, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for buf := make([]byte, 64<<10); acks > 0; {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		done, err := replies(buf[:n], yield)
		if err != nil {
			return err
		}
		acks -= done
	}
	return nil
}

// replies takes a datagram apart: how many requests it says are done, or the
// error of one.
func replies(b []byte, yield func(kind int, body []byte)) (done int, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		n, kind := int(native.Uint32(b)), int(native.Uint16(b[4:]))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return done, fmt.Errorf("netlink reply of %d bytes in %d", n, len(b))
		}
		body := b[unix.SizeofNlMsghdr:n]
		switch {
		case kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR:
			if len(body) < 4 {
				return done, fmt.Errorf("netlink acknowledgement of %d bytes", n)
			}
			if errno := -int32(native.Uint32(body)); errno != 0 {
				return done, unix.Errno(errno)
			}
			done++
		case yield != nil:
			yield(kind, body)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return done, nil
}
