package sfu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// subscription sends one publication to one peer. For pion it is the local track of a sender, for the publication a
// Subscriber. It lives from the answer that announces it until the m-line is needed for something else.
type subscription struct {
	publication *Publication
	peer        *Peer
	mid         string // of the client's m-line
	sender      *webrtc.RTPSender

	// seqOffset moves the publisher's sequence numbers so that the first one sent lies in the lower half. A receiver that
	// misses the first packets around a wrap otherwise counts the wraps differently from the sender, and cannot decrypt
	// a single packet any more (RFC 3711 §3.3.1).
	seqOffset atomic.Int32
	begun     bool        // publication's goroutine only
	asked     atomic.Bool // for the first whole picture
	header    rtp.Header  // publication's goroutine only: made anew for each packet, allocated once

	out     atomic.Pointer[outlet] // nil while pion has not bound the track
	packets atomic.Uint32          // sent
	octets  atomic.Uint32          // sent, payload only
}

// outlet is where packets go.
type outlet struct {
	header rtp.Header // what is the same in every packet
	stream webrtc.TrackLocalWriter
}

// newOutlet prepares packets for pion's stream. Each carries the mid of its m-line (RFC 8843 §9.2) if the client knows
// the extension: packets may come before the client has seen the answer that announces their SSRC, and Firefox then
// takes them for those of another m-line, for good.
func newOutlet(c webrtc.TrackLocalContext, payloadType webrtc.PayloadType, mid string) *outlet {
	out := &outlet{stream: c.WriteStream(), header: rtp.Header{Version: 2, PayloadType: uint8(payloadType), SSRC: uint32(c.SSRC())}}
	for _, e := range c.HeaderExtensions() {
		if e.URI == sdp.SDESMidURI && e.ID < 15 && len(mid) <= 16 { // what the short form of extensions holds
			// It fails for ids and lengths other than these.
			_ = out.header.SetExtension(uint8(e.ID), []byte(mid))
		}
	}
	return out
}

var (
	_ Subscriber        = (*subscription)(nil)
	_ webrtc.TrackLocal = (*subscription)(nil)
)

// RTP sends a packet on. The payload is not copied, and the publisher's header extensions do not go along: their ids are
// the publisher's own.
func (s *subscription) RTP(p *rtp.Packet, _ time.Time) {
	out := s.out.Load()
	if out == nil {
		return
	}
	if !s.begun {
		s.begun = true
		s.seqOffset.Store(int32(uint16(rand.N(1<<14)) - p.SequenceNumber))
	}
	s.send(out, &s.header, p)
}

// send writes a packet with the header that this subscription gives it. The header is the caller's to provide, because
// a packet that is sent again comes from another goroutine.
func (s *subscription) send(out *outlet, header *rtp.Header, p *rtp.Packet) {
	*header = out.header
	header.Marker, header.Timestamp = p.Marker, p.Timestamp
	header.SequenceNumber = p.SequenceNumber + uint16(s.seqOffset.Load())
	n, err := out.stream.WriteRTP(header, p.Payload)
	if err != nil || n == 0 {
		return // not connected (yet, or any more)
	}
	s.packets.Add(1)
	s.octets.Add(uint32(len(p.Payload)))
	s.peer.counts.out(n)
	s.peer.room.sfu.metrics.sent.Inc()
}

// SenderReport passes the publisher's clock on with this subscription's SSRC: RTP and NTP time stay the publisher's, so
// that the receiver can keep a participant's tracks together.
func (s *subscription) SenderReport(sr media.SenderReport) {
	out := s.out.Load()
	if out == nil {
		return
	}
	// An error says that the connection is not up (any more).
	_ = s.peer.pc.WriteRTCP([]rtcp.Packet{
		&rtcp.SenderReport{
			SSRC: out.header.SSRC, NTPTime: toNTP(sr.NTP), RTPTime: sr.RTP,
			PacketCount: s.packets.Load(), OctetCount: s.octets.Load(),
		},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: out.header.SSRC, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: s.StreamID()}},
		}}},
	})
}

// readFeedback answers what the receiver reports until the sender stops.
func (s *subscription) readFeedback() {
	readRTCP(func(buffer []byte) (int, error) {
		n, _, err := s.sender.Read(buffer)
		return n, err
	}, s.feedback)
}

func (s *subscription) feedback(packet rtcp.Packet) {
	out := s.out.Load()
	if out == nil {
		return
	}
	switch packet := packet.(type) {
	case *rtcp.TransportLayerNack:
		if packet.MediaSSRC == out.header.SSRC {
			s.sendAgain(out, packet)
		}
	case *rtcp.PictureLossIndication:
		if packet.MediaSSRC == out.header.SSRC {
			s.publication.RequestKeyframe()
		}
	case *rtcp.FullIntraRequest:
		if slices.ContainsFunc(packet.FIR, func(f rtcp.FIREntry) bool { return f.SSRC == out.header.SSRC }) {
			s.publication.RequestKeyframe()
		}
	case *rtcp.ReceiverReport:
		for _, r := range packet.Reports {
			if r.SSRC == out.header.SSRC {
				s.peer.counts.missed(r.FractionLost)
			}
		}
	}
}

// sendAgain sends what the receiver misses and the history still holds. What this server misses itself comes late and
// is forwarded when it does.
func (s *subscription) sendAgain(out *outlet, nack *rtcp.TransportLayerNack) {
	if s.publication.history == nil {
		return
	}
	var header rtp.Header
	m := s.peer.room.sfu.metrics
	for _, pair := range nack.Nacks {
		pair.Range(func(seq uint16) bool {
			p := s.publication.history.get(seq - uint16(s.seqOffset.Load()))
			if p == nil {
				m.nacksMissed.Inc()
				return true
			}
			s.send(out, &header, p)
			m.nacksAnswered.Inc()
			return true
		})
	}
}

// Bind implements webrtc.TrackLocal: pion says where packets go.
func (s *subscription) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, params := range c.CodecParameters() {
		if codecOf(params.MimeType) != s.publication.codec {
			continue
		}
		s.out.Store(newOutlet(c, params.PayloadType, s.mid))
		return params, nil
	}
	return webrtc.RTPCodecParameters{}, fmt.Errorf("send %s: %w", s.publication.codec, webrtc.ErrUnsupportedCodec)
}

// Unbind implements webrtc.TrackLocal.
func (s *subscription) Unbind(webrtc.TrackLocalContext) error {
	s.out.Store(nil)
	return nil
}

// ID implements webrtc.TrackLocal: the publication's.
func (s *subscription) ID() string { return s.publication.id }

// RID implements webrtc.TrackLocal: there are no layers on the way out.
func (s *subscription) RID() string { return "" }

// StreamID implements webrtc.TrackLocal. Tracks of one stream are kept in sync by the receiver, so microphone and camera
// of a peer share one, and what is captured by other means has its own.
func (s *subscription) StreamID() string {
	switch s.publication.source {
	case media.Screen:
		return s.publication.peer.id + "-screen"
	default:
		return s.publication.peer.id
	}
}

// Kind implements webrtc.TrackLocal.
func (s *subscription) Kind() webrtc.RTPCodecType { return codecType(s.publication.kind) }
