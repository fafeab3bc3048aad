package netlab

import (
	"encoding/binary"
	"net/netip"
)

// nat64 translates between IPv6 and IPv4 on a wire, for one participant (RFC 7915, with the well-known prefix of RFC 6052).
// The participant has IPv6 alone, and 64:ff9b::/96 with the bytes of an IPv4 address leads to that address. UDP and TCP
// only.
type nat64 struct{ inside, outside netip.Addr }

const (
	headerV4, headerV6 = 20, 40
	protoTCP, protoUDP = 6, 17
)

// out makes IPv4 of a participant's packet, nil if it is for nobody.
func (t nat64) out(p []byte) []byte {
	if len(p) < headerV6 || p[0]>>4 != 6 || p[6] != protoTCP && p[6] != protoUDP {
		return nil
	}
	to := netip.AddrFrom16([16]byte(p[24:40]))
	if !netip.MustParsePrefix("64:ff9b::/96").Contains(to) || netip.AddrFrom16([16]byte(p[8:24])) != t.inside {
		return nil
	}
	body := p[headerV6:]
	q := make([]byte, headerV4+len(body))
	q[0], q[8], q[9] = 0x45, p[7], p[6]
	binary.BigEndian.PutUint16(q[2:], uint16(len(q)))
	copy(q[12:], t.outside.AsSlice())
	copy(q[16:], p[36:40])
	copy(q[headerV4:], body)
	binary.BigEndian.PutUint16(q[10:], fold(sum(q[:headerV4], 0)))
	reseal(q[headerV4:], q[12:20], q[9])
	return q
}

// in makes IPv6 of an answer, nil if it is for nobody.
func (t nat64) in(p []byte) []byte {
	if len(p) < headerV4 || p[0] != 0x45 || p[9] != protoTCP && p[9] != protoUDP || netip.AddrFrom4([4]byte(p[16:20])) != t.outside ||
		binary.BigEndian.Uint16(p[6:])&0x3fff != 0 { // a fragment
		return nil
	}
	body := p[headerV4:]
	q := make([]byte, headerV6+len(body))
	q[0], q[6], q[7] = 0x60, p[9], p[8]
	binary.BigEndian.PutUint16(q[4:], uint16(len(body)))
	copy(q[8:], []byte{0x00, 0x64, 0xff, 0x9b})
	copy(q[20:24], p[12:16])
	copy(q[24:], t.inside.AsSlice())
	copy(q[headerV6:], body)
	reseal(q[headerV6:], q[8:40], p[9])
	return q
}

// reseal writes the checksum of a UDP or TCP packet between two addresses.
func reseal(body, addresses []byte, protocol byte) {
	at := 16
	if protocol == protoUDP {
		at = 6
	}
	if len(body) < at+2 {
		return
	}
	body[at], body[at+1] = 0, 0
	check := fold(sum(body, sum(addresses, uint32(protocol)+uint32(len(body)))))
	if check == 0 && protocol == protoUDP {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(body[at:], check)
}

// sum adds 16-bit words (RFC 1071).
func sum(b []byte, total uint32) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		total += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	return total
}

func fold(total uint32) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}
