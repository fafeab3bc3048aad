package natslog_test

import (
	"testing"

	"consilium/internal/events"
)

// BenchmarkAppend is one guarded, synced append after another in one consultation.
func BenchmarkAppend(b *testing.B) {
	l := connect(b, start(b, b.TempDir()))
	c := events.NewID()
	var at events.Version
	for b.Loop() {
		v, err := l.Append(b.Context(), c, at, draft(1))
		if err != nil {
			b.Fatal(err)
		}
		at = v
	}
}

// BenchmarkAppendTen appends ten events in one step.
func BenchmarkAppendTen(b *testing.B) {
	l := connect(b, start(b, b.TempDir()))
	c := events.NewID()
	var at events.Version
	for b.Loop() {
		var drafts []events.Draft
		for n := range 10 {
			drafts = append(drafts, draft(n))
		}
		v, err := l.Append(b.Context(), c, at, drafts...)
		if err != nil {
			b.Fatal(err)
		}
		at = v
	}
}

// BenchmarkRead reads and checks a consultation of 1000 events that lie among 4000 of others.
func BenchmarkRead(b *testing.B) {
	l := connect(b, start(b, b.TempDir()))
	c, other := events.NewID(), events.NewID()
	var at, beside events.Version
	for range 20 {
		for id, v := range map[string]*events.Version{c: &at, other: &beside} {
			n := 50
			if id == other {
				n = 200
			}
			var drafts []events.Draft
			for i := range n {
				drafts = append(drafts, draft(i))
			}
			after, err := l.Append(b.Context(), id, *v, drafts...)
			if err != nil {
				b.Fatal(err)
			}
			*v = after
		}
	}
	for b.Loop() {
		if n := len(mustRead(b, l, c)); n != 1000 {
			b.Fatalf("%d events", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/event")
}

// BenchmarkLast is what it costs to learn where a consultation ends.
func BenchmarkLast(b *testing.B) {
	l := connect(b, start(b, b.TempDir()))
	c := events.NewID()
	fill(b, l, c, 100)
	for b.Loop() {
		if _, err := l.Last(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
