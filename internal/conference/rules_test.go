package conference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consilium/internal/consultation"
	"consilium/internal/events"
	"consilium/internal/media"
	"consilium/internal/media/recorder"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestEveryPhaseOfConnectingHasItsDeadline(t *testing.T) {
	cfg := Config{}.withDefaults()
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for _, tt := range []struct {
		name  string
		d     deadlines
		now   time.Time
		sends bool
		phase string
		code  string
	}{
		{"nothing was offered", deadlines{}, at(1000), true, "", ""},
		{"ICE has twelve seconds", deadlines{opened: noon}, at(12), true, "", ""},
		{"ICE takes longer", deadlines{opened: noon}, at(13), true, events.PhaseICE, "ICE-TIMEOUT"},
		{"keys take longer than ten seconds", deadlines{opened: noon, ice: at(1)}, at(12), true, events.PhaseDTLS, "DTLS-TIMEOUT"},
		{"no first packet within ten seconds", deadlines{opened: noon, ice: at(1), keys: at(2)}, at(13), true, events.PhaseMedia, "MEDIA-TIMEOUT"},
		{"who sends nothing has no first packet", deadlines{opened: noon, ice: at(1), keys: at(2)}, at(13), false, "", ""},
		{"everything came in time", deadlines{opened: noon, ice: at(1), keys: at(2), media: at(3)}, at(1000), true, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			phase, code, _ := tt.d.overdue(tt.now, cfg, tt.sends)
			if phase != tt.phase || code != tt.code {
				t.Fatalf("got %q %q, want %q %q", phase, code, tt.phase, tt.code)
			}
		})
	}
}

func TestTheScreenShowsTheWorstTrack(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{recordedNo, recordedYes, recordedYes},
		{recordedWaiting, recordedYes, recordedYes},
		{recordedYes, recordedFailed, recordedFailed},
		{recordedFailed, recordedYes, recordedFailed},
		{recordedWaiting, "", recordedWaiting},
	} {
		if got := worseRecorded(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: got %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}

// The pages have words for what the document lists.
func TestEveryReasonOfAClosedConnectionIsInTheDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, row, _ := strings.Cut(string(text), "\n| `connection.closed` |")
	row, _, _ = strings.Cut(row, "\n")
	for _, reason := range []string{
		reasonReplaced, reasonFailed, reasonDTLS, reasonClosed, reasonStreams, endedShutdown,
		events.LeftLeft, events.LeftKicked, events.LeftTimeout, events.LeftEnded, events.EndedClosed, events.EndedAbandoned,
	} {
		if !strings.Contains(row, "`"+reason+"`") {
			t.Errorf("docs/events.md does not list %q for connection.closed", reason)
		}
	}
}

func TestSilenceCountsFromTheMomentInWhichSomethingIsWanted(t *testing.T) {
	packet := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name           string
		unwanted, want time.Time
	}{
		{"always wanted", time.Time{}, packet},
		{"packets came after the consent", packet.Add(-time.Minute), packet},
		{"the consent was given again a moment ago", packet.Add(time.Minute), packet.Add(time.Minute)},
	} {
		if got := silentSince(packet, tt.unwanted); !got.Equal(tt.want) {
			t.Errorf("%s: silent since %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestReportsOfARecorderBecomeFacts(t *testing.T) {
	ntp := noon.Add(time.Second)
	for _, tt := range []struct {
		name   string
		report recorder.Report
		want   events.Event
	}{
		{
			"opened",
			recorder.Opened{Segment: media.Segment{
				ID: "s", Track: "t", SSRC: 7, Codec: media.VP8, ClockRate: 90000, FirstRTP: 5, Arrival: noon, Width: 640, Height: 360, OpenReason: "started",
			}},
			events.SegmentOpened{
				Segment: "s", Track: "t", SSRC: 7, Codec: "VP8", ClockRate: 90000, FirstRTP: 5, Arrival: noon, Width: 640, Height: 360, Reason: "started",
			},
		},
		{
			"sealed",
			recorder.Sealed{Segment: media.Segment{ID: "s", LastRTP: 8, EndRTP: 9, Frames: 3, Bytes: 4, SHA256: "d", CloseReason: "ended"}},
			events.SegmentSealed{Segment: "s", LastRTP: 8, EndRTP: 9, Frames: 3, Bytes: 4, SHA256: "d", Reason: "ended"},
		},
		{
			"anchored, with and without a clock of the sender",
			recorder.Anchored{Track: "t", SSRC: 7, Anchors: []media.Anchor{
				{Kind: media.AnchorSR, RTP: 1, NTP: ntp, Arrival: noon, RTT: 2 * time.Millisecond}, {Kind: media.AnchorArrival, RTP: 2, Arrival: noon},
			}},
			events.SegmentAnchored{Track: "t", SSRC: 7, Anchors: []events.Anchor{
				{Kind: "sr", RTP: 1, NTP: &ntp, Arrival: noon, RTTUS: 2000}, {Kind: "arrival", RTP: 2, Arrival: noon},
			}},
		},
		{
			"a gap",
			recorder.Gap{Track: "t", From: noon, To: ntp, Cause: "loss"},
			events.SegmentGap{Track: "t", From: noon, To: ntp, Cause: "loss"},
		},
		{
			"a discontinuity",
			recorder.Discontinuity{Track: "t", RTPBefore: 1, RTPAfter: 2, ArrivalDelta: 4 * time.Second},
			events.SegmentDiscontinuity{Track: "t", RTPBefore: 1, RTPAfter: 2, ArrivalDeltaMS: 4000},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff([]events.Event{tt.want}, FactsOf(tt.report)); d != "" {
				t.Fatal(d)
			}
		})
	}
}

// history seals events one after another.
func history(t *testing.T, all ...events.Event) []events.Stored {
	t.Helper()
	const id = "01890a5d-ac96-774b-bcce-b302099a8057"
	var stored []events.Stored
	var after events.Version
	for _, e := range all {
		raw, v, err := events.Seal(id, after, events.NewDraft("/live/test", noon, e))
		if err != nil {
			t.Fatal(err)
		}
		s, err := events.Open(raw, v.Seq)
		if err != nil {
			t.Fatal(err)
		}
		stored, after = append(stored, s), v
	}
	return stored
}

func TestOneOrderFollowsAllLateSegments(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  []events.Event
		want bool
	}{
		{"stored before the order", []events.Event{events.SegmentStored{Segment: "a"}, events.ArchiveRequested{Version: 1, ThroughSeq: 1}}, false},
		{"stored after the order", []events.Event{events.ArchiveRequested{Version: 1, ThroughSeq: 1}, events.SegmentStored{Segment: "a"}}, true},
		{"stored and ordered again", []events.Event{
			events.ArchiveRequested{Version: 1, ThroughSeq: 1}, events.SegmentStored{Segment: "a"}, events.ArchiveRequested{Version: 2, ThroughSeq: 2},
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := hasLateSegment(history(t, tt.log...)); got != tt.want {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestAStoredSegmentIsSaidOnceWithAllThatACrashKeptBack(t *testing.T) {
	m := &Manager{cfg: Config{Node: "n"}, deps: Deps{Now: func() time.Time { return noon }}}
	segment := media.Segment{ID: "s", Owner: "p", Track: "t", Codec: media.Opus}
	for _, tt := range []struct {
		name string
		log  []events.Event
		want []events.Type
	}{
		{"as usual", []events.Event{events.SegmentOpened{Segment: "s"}, events.SegmentSealed{Segment: "s"}}, []events.Type{events.TypeSegmentStored}},
		{"the seal was not said", []events.Event{events.SegmentOpened{Segment: "s"}}, []events.Type{events.TypeSegmentSealed, events.TypeSegmentStored}},
		{"nothing was said", nil, []events.Type{events.TypeSegmentOpened, events.TypeSegmentSealed, events.TypeSegmentStored}},
		{"all was said", []events.Event{events.SegmentOpened{Segment: "s"}, events.SegmentStored{Segment: "s"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []events.Type
			for _, d := range m.storedDrafts(consultation.Fold(history(t, tt.log...)), segment, "key") {
				got = append(got, events.TypeOf(d.Event))
				if d.Participant != "p" || d.Source != "/live/n" {
					t.Errorf("draft about %q from %q", d.Participant, d.Source)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Fatal(d)
			}
		})
	}
}

func TestOnlyPlainLayerNamesReachTheLog(t *testing.T) {
	for rid, want := range map[string]string{"q": "q", "h1": "h1", "Jan Novak": "", "averylongname": "", "": ""} {
		if got := plainRID(rid); got != want {
			t.Errorf("%q: got %q, want %q", rid, got, want)
		}
	}
}
