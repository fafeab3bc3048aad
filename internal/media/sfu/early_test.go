package sfu

import (
	"testing"
	"time"

	"consilium/internal/media"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
)

// numbers is a subscriber that notes sequence numbers.
type numbers []uint16

func (n *numbers) RTP(p *rtp.Packet, _ time.Time)  { *n = append(*n, p.SequenceNumber) }
func (n *numbers) SenderReport(media.SenderReport) {}

func TestWhoSubscribesAMomentLaterGetsTheBeginning(t *testing.T) {
	began := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	send := func(p *Publication, n int, every time.Duration) {
		for i := range n {
			p.deliver(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i)}}, began.Add(time.Duration(i)*every))
		}
	}
	for _, tt := range []struct {
		name  string
		sent  int
		every time.Duration
		since time.Time
		want  numbers
	}{
		{"all of it", 3, time.Millisecond, time.Time{}, numbers{0, 1, 2, 99}},
		{"nothing from before the given time", 3, time.Second / 2, began.Add(time.Second), numbers{2, 99}},
		{"nothing of what began too long ago", 4, time.Second, time.Time{}, numbers{99}},
		{"nothing of more than is kept", earlyPackets + 1, time.Microsecond, time.Time{}, numbers{99}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &Publication{track: track{kind: media.Audio}, started: began}
			send(p, tt.sent, tt.every)
			var got, late numbers
			p.SubscribeSince(&got, tt.since)
			p.SubscribeSince(&late, tt.since)
			p.deliver(&rtp.Packet{Header: rtp.Header{SequenceNumber: 99}}, began.Add(time.Minute))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Fatal(d)
			}
			if d := cmp.Diff(numbers{99}, late); d != "" {
				t.Fatalf("a second subscriber: %s", d)
			}
		})
	}
}
