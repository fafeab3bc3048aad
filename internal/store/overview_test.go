package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consilium/internal/events"
)

func TestOverview(t *testing.T) {
	b := newBench(t)
	all := newIDs(4)
	id, other, anna, boris := all[0], all[1], all[2], all[3]
	b.say(other, "", events.ConsultationScheduled{})
	b.say(other, anna, events.ConnectionOpened{Connection: "long ago"}, events.ConnectionTimedOut{Connection: "long ago", Phase: "ice", Code: "ICE-TIMEOUT"})
	since := b.clock.Add(time.Millisecond)
	b.say(id, "", events.ConsultationScheduled{}, events.ConsultationOpened{})
	for _, person := range []string{anna, boris} {
		b.say(id, person, events.ParticipantInvited{Role: "patient"}, events.ParticipantJoined{Role: "patient"})
	}
	b.say(id, anna, events.ConnectionOpened{Connection: "a"}, events.ConnectionICEChanged{Connection: "a", State: "connected"})
	b.say(id, boris, events.ConnectionOpened{Connection: "b"}, events.ConnectionTimedOut{Connection: "b", Phase: "ice", Code: "ICE-TIMEOUT"},
		events.ConnectionOpened{Connection: "c"}, events.ConnectionTimedOut{Connection: "c", Phase: "ice", Code: "ICE-TIMEOUT"})
	b.say(other, "", events.ArchiveRequested{Version: 1}, events.ArchiveStarted{Version: 1}, events.ArchiveFailed{Version: 1, Code: "FFMPEG-FAILED"},
		events.ArchiveRequested{Version: 2}, events.ArchiveRequested{Version: 3}, events.ArchiveStarted{Version: 3})
	b.catchUp()
	got, err := NewQueries(b.pool).Overview(t.Context(), since)
	want := Overview{
		Open: 1, Present: 2, Opened: 3, Connected: 1, Queued: 1, Rendering: 1,
		Failures: []FailureCount{{"connection.timed_out", "ICE-TIMEOUT", 2}, {"archive.failed", "FFMPEG-FAILED", 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
