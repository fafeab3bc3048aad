package recorder

import (
	"errors"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/rtp/codecs/av1/obu"

	"consilium/internal/media"
)

// outcome is what a packet led to.
type outcome int

const (
	partOfFrame outcome = iota
	wholeFrame
	strayPacket // not the start of a frame, where one should start
	brokenFrame // the bytes, or their order, are no valid media
)

// maxFramePackets bounds a frame: 4 MB and more.
const maxFramePackets = 4096

// assembler makes whole frames of packets in order: from one that starts a frame, without a hole, to one with the
// marker bit, all with the same RTP time.
type assembler struct {
	codec   media.Codec
	packets []*rtp.Packet
	parts   [][]byte // VP8 and VP9: the bytes of the frame in each packet
	rtp     int64
	vp8     codecs.VP8Packet
	vp9     codecs.VP9Packet
	head    []byte // the start of the frame, as far as it was needed
	h264    h264Sets
}

// Errors of inspect. They are not told to anybody: what counts is that the frame is broken.
var (
	errLayers = errors.New("spatial layers are not recorded")
	errShort  = errors.New("packet is too short")
)

// push adds the next packet. The frame is valid until the next push or reset.
func (a *assembler) push(e entry) (frame, outcome) {
	starts, payload, err := a.inspect(e.packet.Payload, len(a.packets) == 0)
	if err != nil {
		return frame{}, brokenFrame
	}
	inFrame := len(a.packets) > 0
	switch {
	case !inFrame && !starts:
		return frame{}, strayPacket
	case inFrame && (starts || e.rtp != a.rtp || len(a.packets) >= maxFramePackets):
		return frame{}, brokenFrame
	}
	if !inFrame {
		a.rtp, a.head, a.parts = e.rtp, a.head[:0], a.parts[:0]
	}
	a.packets, a.parts = append(a.packets, e.packet), append(a.parts, payload)
	if len(a.head) < headSize {
		a.head = append(a.head, payload[:min(len(payload), headSize)]...)
	}
	if !e.packet.Marker {
		return frame{}, partOfFrame
	}
	f := frame{rtp: e.rtp, arrival: e.arrival, packets: a.packets}
	a.packets = a.packets[:0]
	return a.finish(f)
}

// headSize is how much of a frame tells a keyframe and its size in VP8 and VP9.
const headSize = 64

// finish finds out what the frame is.
func (a *assembler) finish(f frame) (frame, outcome) {
	head := a.head
	switch a.codec {
	case media.AV1:
		unit, err := av1Unit(f.packets)
		if err != nil {
			return f, brokenFrame
		}
		head, a.parts = unit, append(a.parts[:0], temporalDelimiter, unit)
	case media.H264:
		unit, err := a.h264.unit(f.packets)
		if err != nil {
			return f, brokenFrame
		}
		if unit == nil { // parameter sets alone are no frame
			return f, partOfFrame
		}
		head, a.parts = unit, append(a.parts[:0], unit)
	case media.VP8, media.VP9, media.Opus:
		if len(head) == 0 { // headers alone are no frame
			return f, partOfFrame
		}
	}
	f.parts = a.parts
	f.key, f.width, f.height = media.Keyframe(a.codec, head)
	f.key = f.key && a.announced(f.packets[0].Payload, head)
	return f, wholeFrame
}

// temporalDelimiter is the OBU that begins each temporal unit in a file and is never sent (AV1 RTP §5).
var temporalDelimiter = []byte{byte(obu.OBUTemporalDelimiter)<<3 | 0x02, 0}

// announced says whether the packets of a keyframe call it one too: one of both is wrong otherwise, and a file does not
// begin with what may not decode.
func (a *assembler) announced(payload, head []byte) bool {
	switch a.codec {
	case media.VP9:
		return !a.vp9.P
	case media.AV1: // N: first packet of a coded video sequence; or a sequence header comes first
		return payload[0]&0x08 != 0 || obu.Type(head[0]>>3&0xf) == obu.OBUSequenceHeader
	default:
		return true
	}
}

// reset forgets an unfinished frame.
func (a *assembler) reset() {
	a.packets = a.packets[:0]
}

// inspect says whether a payload starts a frame and returns its bytes of the frame, for VP8 and VP9. fresh says that no
// frame is begun.
func (a *assembler) inspect(payload []byte, fresh bool) (starts bool, bytes []byte, err error) {
	switch a.codec {
	case media.VP8: // RFC 7741 §4.2
		bytes, err = a.vp8.Unmarshal(payload)
		return a.vp8.S == 1 && a.vp8.PID == 0, bytes, err
	case media.VP9: // RFC 9628 §4.2
		bytes, err = a.vp9.Unmarshal(payload)
		if err == nil && a.vp9.L && a.vp9.SID > 0 {
			err = errLayers
		}
		return a.vp9.B, bytes, err
	case media.AV1: // aggregation header: Z continues an OBU of the packet before
		if len(payload) < 2 {
			return false, nil, errShort
		}
		return fresh && payload[0]&0x80 == 0, nil, nil
	default:
		starts, err := h264Starts(payload)
		return fresh && starts, nil, err
	}
}

// joined is what a depacketizer makes of the payloads of one access unit, one after the other.
func joined(d interface{ Unmarshal([]byte) ([]byte, error) }, packets []*rtp.Packet) ([]byte, error) {
	var unit []byte
	for _, p := range packets {
		b, err := d.Unmarshal(p.Payload)
		if err != nil {
			return nil, err
		}
		unit = append(unit, b...)
	}
	return unit, nil
}

// av1Unit puts the OBUs of a temporal unit together.
func av1Unit(packets []*rtp.Packet) ([]byte, error) {
	var d codecs.AV1Depacketizer
	unit, err := joined(&d, packets)
	if err != nil {
		return nil, err
	}
	if d.Y || len(unit) == 0 { // the last OBU goes on in a packet behind the marker
		return nil, errShort
	}
	return unit, nil
}
