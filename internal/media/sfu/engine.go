package sfu

import (
	"fmt"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

const (
	// absCaptureTimeURI names the header extension with the capture time of a frame:
	// http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time.
	absCaptureTimeURI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

	// replayWindow is how many packets late a retransmission may come, in packets. pion's default of 64 is a fifth of a
	// second of video: what comes later would be thrown away as a replay attack.
	replayWindow = 2048

	// keysRetry is after how long a part of the exchange of keys that got lost is sent again, and twice as long the next
	// time. pion's default is a second, so that two losses cost three: on a line that loses one packet in twenty, a quarter
	// of all calls. Browsers begin with 50 ms, or twice the round trip.
	keysRetry = 250 * time.Millisecond
)

// codecs are what this server takes in and sends on, best first. RTX is not among them on purpose: without it a browser
// sends a lost packet again on the media's own SSRC, where it is seen and not asked for any more, and a prober has no
// second stream on which to send old packets.
var codecs = []struct {
	codec  media.Codec
	params webrtc.RTPCodecParameters
}{
	{media.Opus, webrtc.RTPCodecParameters{
		// No usedtx: a recording has silence where there was silence.
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: opusFmtp},
		PayloadType:        111,
	}},
	{media.VP8, webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
		PayloadType:        96,
	}},
	{media.VP9, webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, SDPFmtpLine: "profile-id=0"},
		PayloadType:        98,
	}},
	{media.AV1, webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeAV1, ClockRate: 90000},
		PayloadType:        45,
	}},
	// Baseline and constrained baseline, which is all that devices and browsers have in common.
	{media.H264, webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: h264Fmtp + "42e01f"},
		PayloadType:        102,
	}},
	{media.H264, webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: h264Fmtp + "42001f"},
		PayloadType:        103,
	}},
}

const h264Fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="

// red is how a browser may send Opus: each packet holds the one or two before it once more (RFC 2198), so that single
// losses cost nothing. It is taken apart where it comes in and never sent on.
var red = webrtc.RTPCodecParameters{
	RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: mimeTypeRED, ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111"},
	PayloadType:        63,
}

const mimeTypeRED = "audio/red"

// opusFmtp is how this server likes its Opus: forward error correction in the stream, no discontinuous transmission.
const opusFmtp = "minptime=10;useinbandfec=1"

// newAPI makes what one PeerConnection is built from. It is made anew for each, and its MediaEngine is not copied, so
// that the senders which newSender makes from it see what the connection negotiated.
func (s *SFU) newAPI(incoming *streams) (*webrtc.API, error) {
	engine, err := newMediaEngine()
	if err != nil {
		return nil, err
	}
	registry, err := newInterceptors(s.pionLog)
	if err != nil {
		return nil, err
	}
	settings, err := s.settings()
	if err != nil {
		return nil, err
	}
	settings.BufferFactory = incoming.buffer
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)), nil
}

func newMediaEngine() (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	for _, c := range codecs {
		if err := m.RegisterCodec(c.params, codecType(c.codec.Kind())); err != nil {
			return nil, fmt.Errorf("register codec %s: %w", c.codec, err)
		}
	}
	if err := m.RegisterCodec(red, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, fmt.Errorf("register codec %s: %w", mimeTypeRED, err)
	}
	m.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK}, webrtc.RTPCodecTypeVideo)
	m.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBNACK, Parameter: "pli"}, webrtc.RTPCodecTypeVideo)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		m.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, kind)
		// On the way out only what is the same for all packets of a subscription: a packet that is sent again is then the
		// same packet bit for bit, which AES-GCM demands of two packets with one nonce.
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI}, kind); err != nil {
			return nil, fmt.Errorf("register header extension %s: %w", sdp.SDESMidURI, err)
		}
		for _, uri := range []string{sdp.SDESRTPStreamIDURI, sdp.TransportCCURI, absCaptureTimeURI} {
			extension := webrtc.RTPHeaderExtensionCapability{URI: uri}
			if err := m.RegisterHeaderExtension(extension, kind, webrtc.RTPTransceiverDirectionRecvonly); err != nil {
				return nil, fmt.Errorf("register header extension %s: %w", uri, err)
			}
		}
	}
	return m, nil
}

// newInterceptors registers what is used, and only on the way in. What is lost an ingress asks for itself.
func newInterceptors(logs logging.LoggerFactory) (*interceptor.Registry, error) {
	registry := &interceptor.Registry{}
	reports, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(logs))
	if err != nil {
		return nil, fmt.Errorf("receiver reports: %w", err)
	}
	feedback, err := twcc.NewSenderInterceptor(twcc.WithLoggerFactory(logs))
	if err != nil {
		return nil, fmt.Errorf("congestion feedback: %w", err)
	}
	registry.Add(reports)
	registry.Add(feedback)
	return registry, nil
}

func (s *SFU) settings() (webrtc.SettingEngine, error) {
	e := webrtc.SettingEngine{LoggerFactory: s.pionLog}
	e.DisableMediaEngineCopy(true)
	e.SetICETimeouts(s.cfg.DisconnectedAfter, s.cfg.FailedAfter, s.cfg.Keepalive)
	e.SetSRTPReplayProtectionWindow(replayWindow)
	// The DTLS server's order of profiles wins, so the server side it is. ICE has verified the client's address by then,
	// which makes the cookie of DTLS a wasted round trip.
	e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	e.SetDTLSInsecureSkipHelloVerify(true)
	e.SetDTLSRetransmissionInterval(keysRetry)
	if err := e.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return e, fmt.Errorf("DTLS role: %w", err)
	}
	if err := s.ways(&e); err != nil {
		return e, err
	}
	return e, nil
}

// codecType is pion's word for a kind.
func codecType(k media.Kind) webrtc.RTPCodecType {
	if k == media.Audio {
		return webrtc.RTPCodecTypeAudio
	}
	return webrtc.RTPCodecTypeVideo
}

// codecOf names the codec of a MIME type; "" if it is none of ours.
func codecOf(mimeType string) media.Codec {
	for _, c := range codecs {
		if strings.EqualFold(c.params.MimeType, mimeType) {
			return c.codec
		}
	}
	return ""
}
