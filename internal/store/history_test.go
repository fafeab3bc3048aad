package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"consilium/internal/events"
)

// TestHistoryOfOneConsultation tells of connections, tracks, pauses and accesses, and reads the lanes back.
func TestHistoryOfOneConsultation(t *testing.T) {
	b := newBench(t)
	all := newIDs(3)
	id, anna, officer := all[0], all[1], all[2]
	at := func(n int) time.Time { return second(n).UTC() }
	when := func(n int) *time.Time { t := at(n); return &t }
	b.say(id, "", events.ConsultationScheduled{})                                           // 1
	b.say(id, anna, events.ParticipantInvited{Role: "patient"}, events.ParticipantJoined{}, // 2, 3
		events.ConnectionOpened{Connection: "c", Via: "websocket", Browser: &events.Browser{Family: "Firefox", Major: 153}},               // 4
		events.ConnectionICEChanged{Connection: "c", State: "checking"}, events.ConnectionICEChanged{Connection: "c", State: "connected"}, // 5, 6
		events.TrackStarted{Track: "t", Connection: "c", Kind: "audio", Source: "microphone", Codec: "opus"}, // 7
		events.TrackMuted{Track: "t"}, events.TrackUnmuted{Track: "t"}, events.TrackEnded{Track: "t", Reason: "closed"}, // 8, 9, 10
		events.SegmentGap{Track: "t", From: at(8), To: at(9), Cause: "loss"},                                      // 11
		events.ConnectionClosed{Connection: "c", Reason: "left"}, events.ParticipantLeft{Reason: events.LeftLeft}) // 12, 13
	opened := b.draft(events.AccessOpened{Purpose: "complaint", Version: 1})
	opened.Actor = officer
	b.add(id, opened) // 14
	for _, e := range []events.Event{
		events.AccessWatched{Purpose: "complaint", Ranges: []events.Range{{FromMS: 1000, ToMS: 5000}, {FromMS: 9000, ToMS: 9500}}},
		events.AccessWatched{Purpose: "complaint", Ranges: []events.Range{{FromMS: 4000, ToMS: 6000}, {FromMS: 7, ToMS: 7}}},
		events.AccessClosed{Purpose: "complaint"},
	} { // 15, 16, 17
		d := b.draft(e)
		d.CausationID, d.Actor = opened.ID, officer
		b.add(id, d)
	}
	made := b.draft(events.ExportMade{Kind: "events.csv", SHA256: "ab"})
	made.Actor = officer
	b.add(id, made) // 18
	b.catchUp()

	q, loose := NewQueries(b.pool), cmp.Options{cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty()}
	lanes, err := q.Lanes(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := Lanes{
		Connections: []Connection{{
			ID: "c", Participant: anna, Via: "websocket", Browser: "Firefox 153", State: "connected", OpenedAt: at(4), ConnectedAt: when(6),
			ClosedAt: when(12), CloseReason: "left",
		}},
		Tracks: []Track{{
			ID: "t", Participant: anna, Connection: "c", Kind: "audio", Source: "microphone", Codec: "opus", StartedAt: at(7), EndedAt: when(10), EndReason: "closed",
		}},
		Spans: []Span{
			{Seq: 3, Lane: LanePresent, Participant: anna, StartedAt: at(3), EndedAt: when(13)},
			{Seq: 5, Lane: LaneICE, Participant: anna, Subject: "c", Value: "checking", StartedAt: at(5), EndedAt: when(6)},
			{Seq: 6, Lane: LaneICE, Participant: anna, Subject: "c", Value: "connected", StartedAt: at(6), EndedAt: when(12)},
			{Seq: 7, Lane: LaneTrack, Participant: anna, Subject: "t", Value: "on", StartedAt: at(7), EndedAt: when(8)},
			{Seq: 8, Lane: LaneTrack, Participant: anna, Subject: "t", Value: "muted", StartedAt: at(8), EndedAt: when(9)},
			{Seq: 11, Lane: LaneGap, Participant: anna, Subject: "t", Value: "loss", StartedAt: at(8), EndedAt: when(9)},
			{Seq: 9, Lane: LaneTrack, Participant: anna, Subject: "t", Value: "on", StartedAt: at(9), EndedAt: when(10)},
		},
	}
	if diff := cmp.Diff(want, lanes, loose); diff != "" {
		t.Errorf("Lanes (-want +got):\n%s", diff)
	}
	accesses, exports, err := q.Accesses(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	wantAccess := []Access{{
		ID: opened.ID, Actor: officer, Purpose: "complaint", Version: 1, OpenedAt: at(14), ClosedAt: when(17),
		Watched: []int64{1000, 6000, 9000, 9500}, WatchedMS: 5500,
	}}
	if diff := cmp.Diff(wantAccess, accesses, loose); diff != "" {
		t.Errorf("Accesses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Export{{Seq: 18, Actor: officer, Kind: "events.csv", SHA256: "ab", At: at(18)}}, exports, loose); diff != "" {
		t.Errorf("exports (-want +got):\n%s", diff)
	}
}

func TestMarkers(t *testing.T) {
	b := newBench(t)
	all := newIDs(2)
	id, anna := all[0], all[1]
	b.say(id, "", events.ConsultationScheduled{})
	b.say(id, anna, events.ParticipantInvited{Role: "patient"}, events.ParticipantJoined{}, events.SegmentAnchored{},
		events.ConnectionTimedOut{Phase: "ice", Code: "ICE-TIMEOUT"}, events.ParticipantLeft{})
	b.catchUp()
	q := NewQueries(b.pool)
	for _, tt := range []struct {
		name   string
		filter MarkerFilter
		want   []uint64
		more   bool
	}{
		{name: "all but anchors", want: []uint64{1, 2, 3, 5, 6}},
		{name: "a page", filter: MarkerFilter{Limit: 2}, want: []uint64{1, 2}, more: true},
		{name: "the page after it", filter: MarkerFilter{Limit: 3, After: 2}, want: []uint64{3, 5, 6}},
		{name: "some types", filter: MarkerFilter{Types: []string{"participant.joined", "participant.left"}}, want: []uint64{3, 6}},
		{name: "about one participant", filter: MarkerFilter{Participant: anna, After: 5}, want: []uint64{6}},
		{name: "failures", filter: MarkerFilter{Failures: true}, want: []uint64{5}},
		{name: "behind the end", filter: MarkerFilter{After: 1<<64 - 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, err := q.Markers(t.Context(), id, tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, m := range page.Items {
				got = append(got, m.Seq)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || page.More != tt.more {
				t.Errorf("more = %t, seqs (-want +got):\n%s", page.More, diff)
			}
		})
	}
	if _, err := q.Markers(t.Context(), id, MarkerFilter{Limit: -1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("error = %v", err)
	}
	if _, err := q.Markers(t.Context(), events.NewID(), MarkerFilter{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("error = %v", err)
	}
}
