package simpeer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// sentAgain is how often a packet leaves that is asked for three times, after the receiver told of a report from a clock
// that is ahead. The first two questions are less than a round trip apart.
func sentAgain(t *testing.T, ahead time.Duration) int {
	t.Helper()
	const ssrc, number, way = 7, 100, 50 * time.Millisecond
	wire := newWire(newRoad(Network{VideoDelay: way}, time.Now(), nil), &sentLog{})
	registry, err := newInterceptors(wire)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := registry.Build("")
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan uint16, 10)
	stream := chain.BindLocalStream(&interceptor.StreamInfo{
		SSRC: ssrc, MimeType: "video/VP8", RTCPFeedback: []interceptor.RTCPFeedback{{Type: "nack"}},
	}, interceptor.RTPWriterFunc(func(h *rtp.Header, _ []byte, _ interceptor.Attributes) (int, error) {
		left <- h.SequenceNumber
		return 0, nil
	}))
	reports := make(chan rtcp.Packet, 10)
	out := chain.BindRTCPWriter(interceptor.RTCPWriterFunc(func(packets []rtcp.Packet, _ interceptor.Attributes) (int, error) {
		if _, ok := packets[0].(*rtcp.SenderReport); ok {
			reports <- packets[0]
		}
		return 0, nil
	}))
	var comes rtcp.Packet
	in := chain.BindRTCPReader(interceptor.RTCPReaderFunc(func(b []byte, _ interceptor.Attributes) (int, interceptor.Attributes, error) {
		raw, err := comes.Marshal()
		return copy(b, raw), nil, err
	}))
	receive := func(p rtcp.Packet) {
		comes = p
		if _, _, err := in.Read(make([]byte, 1500), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.Write(&rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: number}, []byte{1}, nil); err != nil {
		t.Fatal(err)
	}
	report := &rtcp.SenderReport{SSRC: ssrc, NTPTime: toNTP(time.Now().Add(ahead))}
	if _, err := out.Write([]rtcp.Packet{report}, nil); err != nil {
		t.Fatal(err)
	}
	sr := (<-reports).(*rtcp.SenderReport)
	time.Sleep(time.Second)
	receive(&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{
		SSRC: ssrc, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 1 << 16,
	}}})
	for _, wait := range []time.Duration{way / 2, 2 * way, 2 * way} {
		receive(&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{number})})
		time.Sleep(wait)
	}
	if err := chain.Close(); err != nil {
		t.Fatal(err)
	}
	return len(left) - 1
}

// A browser on a machine whose clock is wrong repairs as well as any other.
func TestAWrongClockDoesNotKeepPacketsFromBeingSentAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		ahead time.Duration
	}{
		{"a clock that is right", 0},
		{"a clock that is 9 s behind", -9 * time.Second},
		{"a clock that is 40 years behind", -40 * 365 * 24 * time.Hour},
		{"a clock that is 700 ms ahead", 700 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if n := sentAgain(t, tt.ahead); n != 2 {
					t.Errorf("a packet was sent again %d times, want twice: the second of three questions came within a round trip of the first", n)
				}
			})
		})
	}
}
