package reindex

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/media"
)

const (
	fuzzRoom    = "01900000-0000-7000-8000-00000000c000"
	fuzzSegment = "01900000-0000-7000-8000-0000000000f1"
)

// FuzzSidecar reads any bytes as a sidecar: what is accepted becomes a history whose events can all be stored and whose
// accounts close.
func FuzzSidecar(f *testing.F) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, codec := range []media.Codec{media.VP8, media.Opus} {
		raw, err := json.Marshal(media.Segment{
			ID: fuzzSegment, Room: fuzzRoom, Owner: "01900000-0000-7000-8000-000000000011", Track: "01900000-0000-7000-8000-000000000031",
			Connection: "01900000-0000-7000-8000-000000000021", Source: media.Camera, SSRC: 7, Codec: codec, ClockRate: codec.ClockRate(),
			FirstRTP: 5, LastRTP: 900000, EndRTP: 903000, Frames: 300, Bytes: 1000, SHA256: events.HashOf(nil), Arrival: at,
			Width: 640, Height: 360, OpenReason: "resumed", CloseReason: "paused",
			Anchors: []media.Anchor{
				{Kind: media.AnchorSR, RTP: 5, NTP: at.Add(time.Hour), Arrival: at, RTT: time.Millisecond},
				{Kind: media.AnchorArrival, RTP: 5, Arrival: at},
			},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &run{id: fuzzRoom, cfg: Config{Node: "n"}}
		s, err := r.sidecar(fuzzSegment, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
		if err != nil {
			return
		}
		next := s
		next.ID, next.Arrival, next.FirstRTP = "01900000-0000-7000-8000-0000000000f2", s.Arrival.Add(time.Minute), s.LastRTP
		r.deps.Now = func() time.Time { return at }
		files := []file{{Segment: s, key: "k"}, {Segment: next, key: "k", fault: faultCorrupt}}
		came, err := r.came(files)
		if err != nil {
			t.Fatal(err)
		}
		p := r.tell(files, came)
		tl, err := p.build(r.id, []events.MissingSegment{{Segment: next.ID, Cause: faultCorrupt}})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range tl.Accounts() {
			sum := a.RecordedMS
			for _, ms := range a.GapsMS {
				sum += ms
			}
			if sum != a.ExpectedMS {
				t.Errorf("account %+v does not close", a)
			}
		}
	})
}
