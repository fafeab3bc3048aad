// Package media holds facts about media that need neither network nor disk: kinds, codecs, RTP clocks, what describes a
// segment file, and the IVF and Ogg containers as bytes (write, scan, repair).
//
// It knows nothing of consultations: the ids of rooms, owners and tracks are opaque here.
package media

import "time"

// Kind is audio or video.
type Kind string

// The kinds.
const (
	Audio Kind = "audio"
	Video Kind = "video"
)

// Source says where a track comes from.
type Source string

// The sources.
const (
	Microphone Source = "microphone"
	Camera     Source = "camera"
	Screen     Source = "screen"
	Device     Source = "device"
)

// Codec is the name of a codec as events and manifests spell it.
type Codec string

// The codecs. H264 is stored from devices only.
const (
	VP8  Codec = "VP8"
	VP9  Codec = "VP9"
	AV1  Codec = "AV1"
	H264 Codec = "H264"
	Opus Codec = "opus"
)

// Kind is what the codec carries.
func (c Codec) Kind() Kind {
	if c == Opus {
		return Audio
	}
	return Video
}

// Extension is the file name extension of a segment of this codec, with the dot.
func (c Codec) Extension() string {
	if c == Opus {
		return ".ogg"
	}
	return ".ivf"
}

// ClockRate is the RTP clock rate in Hz (RFC 7587 §4.1, RFC 7741 §4.1).
func (c Codec) ClockRate() uint32 {
	if c == Opus {
		return 48000
	}
	return 90000
}

// MaxPixels is the largest picture that is recorded, 4096 by 2304: what ffmpeg is allowed to decode when the archive is
// made. A frame header may say 16,383 by 16,383, for which a decoder would take more than a gigabyte.
const MaxPixels = 4096 * 2304

// OpusLookAhead is how many samples at 48 kHz the encoder's output is late (libopus, all bit rates from 6 kbit/s up in
// VoIP and audio mode; measured). Only package timeline subtracts it, once.
const OpusLookAhead = 312

// SenderReport is one RTCP sender report (RFC 3550 §6.4.1) of one SSRC.
type SenderReport struct {
	SSRC    uint32
	RTP     uint32    // as sent, 32 bit
	NTP     time.Time // the sender's wall clock, UTC
	Arrival time.Time // conference clock
	RTT     time.Duration
}

// Anchor kinds, best first. They are the words of events.Anchor too.
const (
	AnchorSR      = "sr"
	AnchorACT     = "act"
	AnchorArrival = "arrival"
)

// Anchor is one observation of a sender's clock.
type Anchor struct {
	Kind    string        `json:"kind"`
	RTP     int64         `json:"rtp"` // unwrapped
	NTP     time.Time     `json:"ntp,omitzero"`
	Arrival time.Time     `json:"arrival"`
	RTT     time.Duration `json:"rtt_ns,omitempty"`
}

// Segment describes one segment file. It is what the recorder reports, what the sidecar (.json) beside the file holds,
// and what a timeline can be rebuilt from when only files are left.
type Segment struct {
	ID          string    `json:"segment"`
	Room        string    `json:"room"`  // opaque: the consultation
	Owner       string    `json:"owner"` // opaque: the participant
	Track       string    `json:"track"`
	Connection  string    `json:"connection,omitempty"` // opaque: tracks of one connection share their sender's wall clock
	Source      Source    `json:"source,omitempty"`
	SSRC        uint32    `json:"ssrc"`
	Codec       Codec     `json:"codec"`
	ClockRate   uint32    `json:"clock_rate"` // Hz
	FirstRTP    int64     `json:"first_rtp"`  // unwrapped
	Arrival     time.Time `json:"arrival"`    // of the first frame, conference clock
	Width       int       `json:"width,omitempty"`
	Height      int       `json:"height,omitempty"`
	OpenReason  string    `json:"open_reason"`
	LastRTP     int64     `json:"last_rtp"`
	EndRTP      int64     `json:"end_rtp"` // LastRTP plus the last audio packet's duration; LastRTP for video
	Frames      int64     `json:"frames"`
	Bytes       int64     `json:"bytes"`
	SHA256      string    `json:"sha256,omitempty"` // hex, of the closed file
	CloseReason string    `json:"close_reason,omitempty"`
	Anchors     []Anchor  `json:"anchors,omitempty"` // the newest ones known when the file was closed
}

// FileName is the name of the closed file: <id>.ivf or <id>.ogg.
func (s Segment) FileName() string {
	return s.ID + s.Codec.Extension()
}
