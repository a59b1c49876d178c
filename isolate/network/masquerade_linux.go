package network

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	nfPostrouting  = 4   // NF_INET_POST_ROUTING
	nfSourceNAT    = 100 // NF_IP_PRI_NAT_SRC
	nftOwner       = 2   // NFT_TABLE_F_OWNER, from Linux 5.12: the table ends with the socket that made it
	ipSourceOffset = 12  // of the source address in an IPv4 header
	nftChain       = "postrouting"
)

// masquerade gives the requests, one transaction, that make a table with one
// rule: what match accepts gets the address of the link it leaves by.
func masquerade(name string, flags int, match func(*message)) []message {
	table := nftMessage(unix.NFT_MSG_NEWTABLE, newOnly)
	table.text(unix.NFTA_TABLE_NAME, name)
	table.bigEndian(unix.NFTA_TABLE_FLAGS, flags)

	chain := nftMessage(unix.NFT_MSG_NEWCHAIN, newOnly)
	chain.text(unix.NFTA_CHAIN_TABLE, name)
	chain.text(unix.NFTA_CHAIN_NAME, nftChain)
	chain.nest(unix.NFTA_CHAIN_HOOK, func() {
		chain.bigEndian(unix.NFTA_HOOK_HOOKNUM, nfPostrouting)
		chain.bigEndian(unix.NFTA_HOOK_PRIORITY, nfSourceNAT)
	})
	chain.text(unix.NFTA_CHAIN_TYPE, "nat")

	rule := nftMessage(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
	rule.text(unix.NFTA_RULE_TABLE, name)
	rule.text(unix.NFTA_RULE_CHAIN, nftChain)
	rule.nest(unix.NFTA_RULE_EXPRESSIONS, func() {
		match(&rule)
		rule.expression("masq", func() {})
	})
	return []message{batch(unix.NFNL_MSG_BATCH_BEGIN), table, chain, rule, batch(unix.NFNL_MSG_BATCH_END)}
}

// leavesBy matches packets that leave by a link.
func leavesBy(index int) func(*message) {
	return func(m *message) {
		m.expression("meta", func() {
			m.bigEndian(unix.NFTA_META_DREG, unix.NFT_REG_1)
			m.bigEndian(unix.NFTA_META_KEY, unix.NFT_META_OIF)
		})
		m.equals(native.AppendUint32(nil, uint32(index)))
	}
}

// comesFrom matches packets by their source address.
func comesFrom(address [4]byte) func(*message) {
	return func(m *message) {
		m.expression("payload", func() {
			m.bigEndian(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1)
			m.bigEndian(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER)
			m.bigEndian(unix.NFTA_PAYLOAD_OFFSET, ipSourceOffset)
			m.bigEndian(unix.NFTA_PAYLOAD_LEN, len(address))
		})
		m.equals(address[:])
	}
}

// equals goes on with packets whose loaded value is this one.
func (m *message) equals(value []byte) {
	m.expression("cmp", func() {
		m.bigEndian(unix.NFTA_CMP_SREG, unix.NFT_REG_1)
		m.bigEndian(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ)
		m.nest(unix.NFTA_CMP_DATA, func() { m.attribute(unix.NFTA_DATA_VALUE, value...) })
	})
}

func (m *message) expression(name string, fill func()) {
	m.nest(unix.NFTA_LIST_ELEM, func() {
		m.text(unix.NFTA_EXPR_NAME, name)
		m.nest(unix.NFTA_EXPR_DATA, fill)
	})
}

// nftMessage is a request to nf_tables, about IPv4: struct nfgenmsg of
// linux/netfilter/nfnetlink.h.
func nftMessage(kind, flags int) message {
	return newMessage(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0)
}

// batch begins or ends a transaction; it is not acknowledged.
func batch(kind int) message {
	header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES)
	m := newMessage(kind, 0, header...)
	native.PutUint16(m[6:], unix.NLM_F_REQUEST)
	return m
}
