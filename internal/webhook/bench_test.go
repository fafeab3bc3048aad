package webhook

import (
	"testing"

	"consilium/internal/events"
)

// BenchmarkDeliver sends to a receiver on this machine that answers at once: what is left is our own work.
func BenchmarkDeliver(b *testing.B) {
	t := newBench(b)
	r := t.receiver()
	t.sender()
	e := r.add(New{})
	t.must(t.endpoints.Pause(b.Context(), e.ID))
	const each = 500
	for range each / 10 {
		id := events.NewID()
		for range 10 {
			t.say(id, events.ParticipantJoined{Role: "patient"})
		}
	}
	for n := 1; b.Loop(); n++ {
		t.must(t.endpoints.Replay(b.Context(), e.ID, 1))
		r.has(n * each)
	}
	b.ReportMetric(float64(each*b.N)/b.Elapsed().Seconds(), "messages/s")
}
