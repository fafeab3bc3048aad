package store

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"consilium/internal/events"
)

// script is a log of many consultations of some 100 events each, ready to be followed.
type script struct {
	events.Log // unused
	all        []events.Stored
}

func (s script) Info(context.Context) (events.Info, error) {
	return events.Info{Last: uint64(len(s.all)), Created: morning}, nil
}

func (s script) Follow(ctx context.Context, after uint64, _ events.Filter) iter.Seq2[events.Stored, error] {
	return func(yield func(events.Stored, error) bool) {
		for _, e := range s.all[after:] {
			// Decoded as a real log does it: the figure includes that work.
			opened, err := events.Open(e.Raw, e.Stream)
			if !yield(opened, err) || err != nil {
				return
			}
		}
		<-ctx.Done()
	}
}

// newScript tells consultations by groups of ten that run at the same time.
func newScript(b *testing.B, consultations int) script {
	b.Helper()
	var s script
	type place struct {
		id, a, b string
		at       events.Version
	}
	for range consultations / 10 {
		group := make([]place, 10)
		for i := range group {
			ids := newIDs(3)
			group[i] = place{id: ids[0], a: ids[1], b: ids[2]}
		}
		for step := range 100 {
			for i := range group {
				p := &group[i]
				who, e := benchEvent(step, p.a, p.b)
				d := events.NewDraft("/live/bench", morning.Add(time.Duration(step)*time.Second), e)
				d.Participant = who
				raw, at, err := events.Seal(p.id, p.at, d)
				if err != nil {
					b.Fatal(err)
				}
				p.at = at
				s.all = append(s.all, events.Stored{Raw: raw, Stream: uint64(len(s.all) + 1)})
			}
		}
	}
	return s
}

func benchEvent(step int, a, b string) (string, events.Event) {
	who := []string{a, b}[step%2]
	switch {
	case step == 0:
		return "", events.ConsultationScheduled{Policy: events.PolicyRequired, Layout: "grid", Language: "de"}
	case step <= 2:
		return who, events.ParticipantInvited{Role: "patient"}
	case step == 3:
		return "", events.ConsultationOpened{}
	case step <= 5:
		return who, events.ConsentGiven{Consent: events.Consent{TextSHA256: strings.Repeat("a", 64), Language: "de", By: events.BySelf}}
	case step <= 7:
		return who, events.ParticipantJoined{Role: "patient"}
	case step == 97:
		return "", events.ConsultationEnded{Reason: events.EndedClosed}
	case step == 98:
		return "", events.ConsultationCompleted{Segments: 30}
	case step == 99:
		return "", events.ArchiveRequested{Version: 1, ThroughSeq: 98, Layout: "grid", Profile: "standard"}
	}
	segment := fmt.Sprintf("%08d-0000-7000-8000-000000000000", step/3)
	switch step % 3 {
	case 0:
		return who, events.SegmentOpened{Segment: segment, Track: "t", Codec: "VP8", ClockRate: 90000, Arrival: morning, Reason: "rotation"}
	case 1:
		return who, events.SegmentAnchored{Track: "t", Anchors: []events.Anchor{{Kind: "sr", RTP: 1, Arrival: morning}}}
	default:
		return who, events.SegmentStored{Segment: segment, Key: "c/x/segments/y.ivf", Bytes: 1 << 20, SHA256: strings.Repeat("b", 64)}
	}
}

// BenchmarkRebuild makes the rows of 20,000 events from nothing, decoding included.
func BenchmarkRebuild(b *testing.B) {
	t := newBench(b)
	s := newScript(b, 200)
	p := t.projector(s)
	for b.Loop() {
		if err := p.Rebuild(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(s.all))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkFollow projects the same events as they come, each batch in a transaction of its own.
func BenchmarkFollow(b *testing.B) {
	t := newBench(b)
	s := newScript(b, 200)
	for b.Loop() {
		b.StopTimer()
		t.exec("truncate readmodel.position, readmodel." + strings.Join(tables, ", readmodel."))
		p := t.projector(s)
		b.StartTimer()
		stop := t.run(p)
		if err := p.WaitFor(b.Context(), uint64(len(s.all))); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(len(s.all))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkList reads pages of 50 from 100,000 consultations.
func BenchmarkList(b *testing.B) {
	t := newBench(b)
	const rows = 100_000
	t.exec(`insert into directory.consultations (id, title, external_ref, language, time_zone, created_at, search)
		select ('0192a000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Visit ' || n, 'MIS-' || n, 'de', 'UTC', now(),
			directory.fold('Visit ' || n || E'\nMIS-' || n || E'\nDr. Anna Schmidt\nPatient ' || md5(n::text))
		from generate_series(1, $1) n`, rows)
	t.exec(`insert into readmodel.consultations (id, seq, state, policy, layout, language, paused, scheduled_at, end_reason,
			participants, present, segments_stored, bytes, pending, missing)
		select ('0192a000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 100, case when n % 50 = 0 then 'open' else 'archived' end,
			'required', 'grid', 'de', false, '2026-01-01'::timestamptz + n * interval '1 minute', '', 2, 0, 30, 1000000, '{}', '{}'
		from generate_series(1, $1) n`, rows)
	t.exec(`insert into readmodel.participants (consultation, id, role, records, consent, present, invited_at, left_reason)
		select c.id, c.id || '-' || k, 'patient', '{}', 'given', false, c.scheduled_at, '' from readmodel.consultations c, generate_series(1, 2) k`)
	t.exec(`insert into readmodel.archives (consultation, version, state, code, through_seq, layout, profile, requested_at, key, bytes, sha256, manifest_sha256, duration_ms)
		select id, 1, 'ready', '', 99, 'grid', 'standard', scheduled_at, 'k', 1, '', '', 1 from readmodel.consultations`)
	t.exec("analyze")
	deep := cursor{heldAt: time.Date(2026, 1, 20, 0, 0, 0, 0, time.UTC)}.String()
	for _, bb := range []struct {
		name   string
		filter Filter
		rows   int
	}{
		{"first page", Filter{}, 50},
		{"page far behind", Filter{Cursor: deep}, 50},
		{"one state", Filter{State: "open"}, 50},
		{"search that finds one", Filter{Query: "mis-77777"}, 1},
		{"search that finds all", Filter{Query: "anna"}, 50},
		{"search that finds nothing", Filter{Query: "zebra"}, 0},
	} {
		b.Run(bb.name, func(b *testing.B) {
			q := NewQueries(t.pool)
			for b.Loop() {
				page, err := q.List(b.Context(), bb.filter)
				if err != nil || len(page.Items) != bb.rows {
					b.Fatalf("%d rows, error = %v", len(page.Items), err)
				}
			}
		})
	}
}
