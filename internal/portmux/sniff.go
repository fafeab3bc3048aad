package portmux

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// Protocol is what a connection turned out to be.
type Protocol int

// The protocols, TLS taken off.
const (
	HTTP Protocol = iota
	TURN          // STUN messages and channel data one after the other (RFC 8656)
	ICE           // packets with a length before each (RFC 4571)
)

// String is the protocol's name in metrics.
func (p Protocol) String() string { return [...]string{"http", "turn", "ice"}[p] }

// Names of application protocols in TLS (RFC 7301, RFC 7443).
const (
	alpnHTTP = "http/1.1"
	alpnTURN = "stun.turn"
)

const (
	recordTLS   = 0x16       // first byte of a TLS handshake (RFC 8446 §5.1)
	magicCookie = 0x2112A442 // of STUN (RFC 8489 §5)
	stunTop     = 0x04       // the first byte of a STUN message is below
	enough      = 10         // bytes that tell: a length of RFC 4571, and a STUN header up to its cookie
)

// errUnknown says that a connection is none of the protocols.
var errUnknown = errors.New("the first bytes are of no protocol that is spoken here")

// plainRefusal is the answer to HTTP where TLS is spoken: a person who typed http:// must see why nothing comes.
const plainRefusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This server speaks https on this port.\n"

// tell finds out what a connection is. What it gives reads from the first byte on, with TLS taken off.
func (m *Mux) tell(conn net.Conn) (Protocol, net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(m.cfg.Undecided)); err != nil {
		return 0, nil, err
	}
	plain := newPeeked(conn)
	first, err := plain.r.Peek(1)
	if err != nil {
		return 0, nil, err
	}
	if m.tls == nil || first[0] != recordTLS {
		p, err := sniff(plain.r)
		if err == nil && p == HTTP && m.tls != nil {
			_, _ = io.WriteString(conn, plainRefusal) // it is closed anyway
			err = errUnknown
		}
		return p, plain, err
	}
	secure := tls.Server(plain, m.tls)
	if err := secure.HandshakeContext(m.life); err != nil {
		return 0, nil, err
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case alpnHTTP:
		return HTTP, secure, nil // as it is: net/http looks for a *tls.Conn
	case "":
		inner := newPeeked(secure)
		p, err := sniff(inner.r)
		return p, inner, err
	default:
		return TURN, secure, nil
	}
}

// sniff reads ahead as little as tells: one byte for HTTP, which may send no more for a while.
func sniff(r *bufio.Reader) (Protocol, error) {
	first, err := r.Peek(1)
	if err != nil {
		return 0, err
	}
	if first[0] >= stunTop {
		if first[0] < 'A' || first[0] > 'Z' {
			return 0, errUnknown
		}
		return HTTP, nil
	}
	head, err := r.Peek(enough)
	if err != nil {
		return 0, err
	}
	return classify(head)
}

// classify tells TURN from ICE by where the cookie of the first STUN message stands. head has enough bytes.
func classify(head []byte) (Protocol, error) {
	switch {
	case binary.BigEndian.Uint32(head[4:]) == magicCookie:
		return TURN, nil
	case binary.BigEndian.Uint32(head[6:]) == magicCookie && head[2] < stunTop:
		return ICE, nil
	default:
		return 0, errUnknown
	}
}

// peeked is a connection of which something was read ahead.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func newPeeked(conn net.Conn) *peeked { return &peeked{Conn: conn, r: bufio.NewReaderSize(conn, 64)} }

// Read implements net.Conn. Once what was read ahead is used up the connection itself is read.
func (p *peeked) Read(b []byte) (int, error) {
	if p.r.Buffered() > 0 {
		return p.r.Read(b[:min(len(b), p.r.Buffered())])
	}
	return p.Conn.Read(b)
}
