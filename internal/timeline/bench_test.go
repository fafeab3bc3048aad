package timeline

import (
	"testing"

	"consilium/internal/events"
)

// hour is a consultation of two people of one hour, as the log would hold it.
func hour(b *testing.B) []events.Stored {
	s := newScript(b)
	s.begin(events.PolicyRequired)
	for range 2 {
		who := s.invite("patient")
		s.consent(-1, who)
		conn := s.join(0, who, "patient")
		for _, src := range []*source{s.audio(who, conn, 1), s.video(who, conn, 1)} {
			src.everySR, src.jitter = sec(1.2), sec(0.02)
			src.whole(1, 3600)
		}
	}
	s.end(3601)
	return s.stored()
}

func BenchmarkBuildHour(b *testing.B) {
	evs := hour(b)
	for b.Loop() {
		if _, err := Build(evs, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(evs)), "events")
}
