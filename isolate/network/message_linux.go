package network

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// message is one request of netlink(7): a header, the fixed part of its type,
// attributes.
type message []byte

// newMessage begins a request that is to be acknowledged.
func newMessage(kind, flags int, fixed ...byte) message {
	m := make(message, unix.SizeofNlMsghdr, 256)
	native.PutUint16(m[4:], uint16(kind))
	native.PutUint16(m[6:], uint16(unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags))
	m = append(m, fixed...)
	m.pad()
	return m
}

var native = binary.NativeEndian

// pad aligns the next attribute and keeps the length in the header.
func (m *message) pad() {
	for len(*m)%unix.NLMSG_ALIGNTO != 0 {
		*m = append(*m, 0)
	}
	native.PutUint32(*m, uint32(len(*m)))
}

func (m *message) attribute(kind int, data ...byte) {
	*m = native.AppendUint16(*m, uint16(unix.SizeofRtAttr+len(data)))
	*m = native.AppendUint16(*m, uint16(kind))
	*m = append(*m, data...)
	m.pad()
}

func (m *message) text(kind int, s string) { m.attribute(kind, append([]byte(s), 0)...) }

func (m *message) number(kind int, n int) {
	m.attribute(kind, native.AppendUint32(nil, uint32(n))...)
}

// bigEndian is number as nf_tables wants it.
func (m *message) bigEndian(kind int, n int) {
	m.attribute(kind, binary.BigEndian.AppendUint32(nil, uint32(n))...)
}

func (m *message) address(kind int, a netip.Addr) { m.attribute(kind, a.AsSlice()...) }

// nest puts what fill adds into an attribute.
func (m *message) nest(kind int, fill func()) {
	at := len(*m)
	m.attribute(kind | unix.NLA_F_NESTED)
	fill()
	native.PutUint16((*m)[at:], uint16(len(*m)-at))
}

const typeMask = 0x3fff // NLA_TYPE_MASK

// attributes calls yield for each attribute of b, until one is malformed.
func attributes(b []byte, yield func(kind int, data []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		n := int(native.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return
		}
		yield(int(native.Uint16(b[2:])&typeMask), b[unix.SizeofRtAttr:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}
